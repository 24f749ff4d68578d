"""Gaussian splatting written plainly in float64 torch, for autograd to differentiate: what the kernels must equal."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from reconstruction_pipeline.kernels.camera import PinholeView
from reconstruction_pipeline.kernels.layout import to_planes

GROUPS = ("means", "log_scales", "quats", "opacity_logits", "sh")
NEAR = 0.01


class Reference(NamedTuple):
    image: torch.Tensor
    alpha: torch.Tensor
    expected_depth: torch.Tensor
    median_depth: torch.Tensor
    contribution: torch.Tensor


def random_scene(count: int = 64, seed: int = 0) -> tuple[np.ndarray, ...]:
    """Gaussians of all shapes, opacities and colours around (0, 0, 4), as float32 tables."""
    rng = np.random.default_rng(seed)
    tables = (
        rng.normal(size=(count, 3)) * (0.8, 0.7, 0.8) + (0.0, 0.0, 4.0),
        np.log(rng.uniform(0.05, 0.35, size=(count, 3))),
        rng.normal(size=(count, 4)),
        rng.normal(size=count) * 1.5,
        rng.normal(size=(count, 16, 3)) * 0.25,
    )
    return tuple(table.astype(np.float32) for table in tables)


def turned_view(width: int = 45, height: int = 37) -> PinholeView:
    """A camera turned about y and off centre, so that no symmetry hides a mistake."""
    c, s = np.cos(0.2), np.sin(0.2)
    rotation = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    focal = 1.1 * width
    return PinholeView(
        rotation, np.array([-0.7, 0.1, 0.3]), focal, 1.04 * focal, width / 2 + 1.3, height / 2 - 0.7, width, height
    )


def planes_of(tables: tuple[np.ndarray, ...]) -> np.ndarray:
    return to_planes(*tables)


def tensors(tables: tuple[np.ndarray, ...]) -> list[torch.Tensor]:
    return [torch.tensor(table.astype(np.float64), requires_grad=True) for table in tables]


def sh_basis(d: torch.Tensor) -> torch.Tensor:
    """The 16 basis functions at unit directions (N,3), (N,16)."""
    x, y, z = d.unbind(1)
    xx, yy, zz = x * x, y * y, z * z
    terms = [
        0.28209479177387814 + 0 * x,
        -0.4886025119029199 * y,
        0.4886025119029199 * z,
        -0.4886025119029199 * x,
        1.0925484305920792 * x * y,
        -1.0925484305920792 * y * z,
        0.31539156525252005 * (2 * zz - xx - yy),
        -1.0925484305920792 * x * z,
        0.5462742152960396 * (xx - yy),
        -0.5900435899266435 * y * (3 * xx - yy),
        2.890611442640554 * x * y * z,
        -0.4570457994644658 * y * (4 * zz - xx - yy),
        0.3731763325901154 * z * (2 * zz - 3 * xx - 3 * yy),
        -0.4570457994644658 * x * (4 * zz - xx - yy),
        1.445305721320277 * z * (xx - yy),
        -0.5900435899266435 * x * (xx - 3 * yy),
    ]
    return torch.stack(terms, 1)


def rotation_matrices(quats: torch.Tensor) -> torch.Tensor:
    """Rotation matrices (N,3,3) of quaternions wxyz of any length; one of no length means no rotation."""
    w, x, y, z = (quats / (quats * quats).sum(1, keepdim=True).clamp(min=1e-24).sqrt()).unbind(1)
    rows = [
        torch.stack([1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)], 1),
        torch.stack([2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)], 1),
        torch.stack([2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)], 1),
    ]
    return torch.stack(rows, 1)


def project(
    means: torch.Tensor, log_scales: torch.Tensor, quats: torch.Tensor, view: PinholeView
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Image means (N,2), inverse 2D covariances (N,2,2), depths (N,)."""
    rotation, translation = torch.tensor(view.rotation).double(), torch.tensor(view.translation).double()
    x, y, z = (means @ rotation.T + translation).unbind(1)
    band_x, band_y = 0.15 * view.width, 0.15 * view.height
    u = (x / z).clamp((-band_x - view.cx) / view.fx, (view.width + band_x - view.cx) / view.fx)
    v = (y / z).clamp((-band_y - view.cy) / view.fy, (view.height + band_y - view.cy) / view.fy)
    zero = torch.zeros_like(z)
    jacobian = torch.stack(
        [
            torch.stack([view.fx / z, zero, -view.fx * u / z], 1),
            torch.stack([zero, view.fy / z, -view.fy * v / z], 1),
        ],
        1,
    )
    root = jacobian @ rotation @ rotation_matrices(quats) @ torch.diag_embed(log_scales.exp())
    covariance = root @ root.transpose(1, 2) + 0.3 * torch.eye(2, dtype=torch.float64)
    centres = torch.stack([view.fx * x / z + view.cx, view.fy * y / z + view.cy], 1)
    return centres, torch.linalg.inv(covariance), z


def render(
    parameters: list[torch.Tensor],
    view: PinholeView,
    background: tuple[float, float, float] = (0.0, 0.0, 0.0),
    sh_degree: int = 3,
) -> Reference:
    """Blend all Gaussians into all pixels, nearest first, with the kernels' rules."""
    means, log_scales, quats, opacity_logits, sh = parameters
    centres, conics, z = project(means, log_scales, quats, view)
    direction = means - torch.tensor(view.center)
    basis = sh_basis(direction / direction.norm(dim=1, keepdim=True))[:, : (sh_degree + 1) ** 2, None]
    colours = (0.5 + (basis * sh[:, : basis.shape[1]]).sum(1)).clamp(min=0)
    opacities = torch.sigmoid(opacity_logits)
    shape = (view.height, view.width)
    ys, xs = torch.meshgrid(*(torch.arange(n).double() + 0.5 for n in shape), indexing="ij")
    pixels = torch.stack([xs, ys], -1)
    light, depth, median = torch.ones(shape).double(), torch.zeros(shape).double(), torch.zeros(shape).double()
    image, contribution = torch.zeros((*shape, 3)).double(), torch.zeros(len(z)).double()
    for i in torch.argsort(z.detach(), stable=True).tolist():
        if z[i] <= NEAR:
            continue
        d = pixels - centres[i]
        alpha = opacities[i] * (-0.5 * (d @ conics[i] * d).sum(-1)).exp()
        alpha = torch.where(alpha >= 1 / 255, alpha.clamp(max=0.99), 0 * alpha)
        weight = alpha * light
        image = image + weight[..., None] * colours[i]
        depth = depth + weight * z[i]
        after = light - weight
        median = torch.where((light > 0.5) & (after <= 0.5), z[i].detach(), median)
        contribution[i] = weight.detach().sum()
        light = after
    image = image + light[..., None] * torch.tensor(background).double()
    seen = 1 - light
    return Reference(
        image, seen, torch.where(seen > 1e-6, depth / seen.clamp(min=1e-6), 0 * depth), median, contribution
    )
