"""The `Rasterizer` of CUDA: gsplat's differentiable rasterisation behind the conventions of our CPU kernels.

What both agree on (read in the sources of gsplat 1.5.3, and tested on CPU tensors against our kernels): 0.3 px^2
added to the 2D covariance, the guard band of 15 % of the picture, pixel centres at half integers, nothing fainter
than 1/255, colours clamped at zero from below, the background behind what light is left.

What they do not, and gsplat cannot be told: it clamps alpha at 0.999 instead of 0.99, and stops a pixel before the
Gaussian that would take its transmittance below 1e-4 instead of after. Pictures differ by less than 0.01 where
Gaussians are more opaque than 0.99, and by 1e-4 elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from reconstruction_pipeline.kernels import layout
from reconstruction_pipeline.kernels.camera import PinholeView

LOW_PASS = 0.3
"""px^2 added to the 2D covariance, as in `kernels.projection`."""
LOG_SCALE_MAX = 10.0
"""Standard deviations above e^10 scene depths are not drawn: their covariance overflows, and would spread as NaN."""
CACHED_VIEWS = 4096

Rasterization = Callable[..., tuple[Tensor, Tensor, dict[str, Any]]]
"""A function with the signature and meaning of `gsplat.rasterization`."""


class TorchRendered(NamedTuple):
    """One picture as tensors; fields as in `kernels.rasterizer.Rendered`. Cut off from autograd."""

    image: Tensor
    alpha: Tensor
    expected_depth: Tensor | None = None
    contribution: Tensor | None = None


@dataclass(frozen=True)
class _Pass:
    """The last forward: its leaves, in the layout of gsplat, and its differentiable pictures."""

    leaves: tuple[Tensor, ...]
    count: int
    capacity: int
    image: Tensor | None = None
    alpha: Tensor | None = None
    depth: Tensor | None = None


class GsplatRasterizer:
    """See `base.Rasterizer`. `rasterization` None takes gsplat's own, which needs CUDA tensors."""

    def __init__(self, rasterization: Rasterization | None = None) -> None:
        self._rasterization = rasterization or _gsplat_rasterization()
        self._views: dict[int, tuple[PinholeView, Tensor, Tensor]] = {}
        self._last: _Pass | None = None

    def forward(
        self,
        planes: Tensor,
        count: int,
        view: PinholeView,
        *,
        sh_degree: int = 3,
        background: Sequence[float] = (0.0, 0.0, 0.0),
        near: float = 0.01,
        depth: bool = False,
        contribution: bool = False,
    ) -> TorchRendered:
        """Render the first `count` columns of `planes` (59, capacity) float32 from `view`."""
        self._last = None  # its graph and leaves are as large as all parameters together
        light = torch.tensor([background], dtype=torch.float32, device=planes.device) if any(background) else None
        if count == 0:
            return self._empty(planes, view, light, depth, contribution)
        leaves = _leaves(planes, count, sh_degree)
        with torch.enable_grad():
            scene = _scene(leaves)
            pictures, alphas, _ = self._rasterization(
                *scene, leaves[4], *self._camera(view, planes.device), view.width, view.height,
                near_plane=near, eps2d=LOW_PASS, sh_degree=sh_degree, packed=False, backgrounds=light,
                render_mode="RGB+ED" if depth else "RGB", rasterize_mode="classic",
            )  # fmt: skip
            image, alpha = pictures[0, ..., :3], alphas[0, ..., 0]
            # gsplat divides by alpha; where nothing was drawn that is 0 / 1e-10, the 0 that our kernels give too.
            expected = pictures[0, ..., 3] if depth else None
        self._last = _Pass(leaves, count, planes.shape[1], image, alpha, expected)
        seen = self._contribution(scene, view, near) if contribution else None
        return TorchRendered(
            image.detach().contiguous(), alpha.detach(), None if expected is None else expected.detach(), seen
        )

    def backward(
        self,
        grad_image: Tensor,
        grads: Tensor,
        *,
        grad_expected_depth: Tensor | None = None,
        grad_alpha: Tensor | None = None,
    ) -> None:
        """Overwrite all of `grads` (59, capacity) with dL/dplanes of the last forward; that forward is used up."""
        last, self._last = self._last, None
        if last is None:
            raise RuntimeError("backward needs a forward before it.")
        if grads.shape != (layout.ROWS, last.capacity):
            raise ValueError(f"grads must have the shape {(layout.ROWS, last.capacity)}, not {tuple(grads.shape)}.")
        if grad_expected_depth is not None and last.depth is None and last.image is not None:
            raise ValueError("A gradient of the depth needs a forward with depth=True.")
        if last.image is None:
            grads.zero_()
            return
        pairs = ((last.image, grad_image), (last.depth, grad_expected_depth), (last.alpha, grad_alpha))
        used = [(picture, gradient) for picture, gradient in pairs if picture is not None and gradient is not None]
        found = torch.autograd.grad(
            [picture for picture, _ in used], last.leaves, [gradient for _, gradient in used], allow_unused=True
        )
        _scatter(found, grads, last.count)

    def forget(self) -> None:
        """Let go of the last forward and of cached cameras, and so of their memory."""
        self._last = None
        self._views.clear()

    def _contribution(self, scene: tuple[Tensor, ...], view: PinholeView, near: float) -> Tensor:
        """(count,) blend weight of each Gaussian summed over the pixels.

        A picture is the blend-weighted sum of its Gaussians' features, so the derivative of the sum of all
        pixels by a Gaussian's feature is that Gaussian's weight, summed.
        """
        fixed = tuple(part.detach() for part in scene)
        feature = torch.ones((len(fixed[0]), 1), device=fixed[0].device, requires_grad=True)
        with torch.enable_grad():
            picture, _, _ = self._rasterization(
                *fixed, feature, *self._camera(view, feature.device), view.width, view.height,
                near_plane=near, eps2d=LOW_PASS, sh_degree=None, packed=False, render_mode="RGB",
                rasterize_mode="classic",
            )  # fmt: skip
        (weight,) = torch.autograd.grad(picture.sum(), feature)
        return weight[:, 0]

    def _camera(self, view: PinholeView, device: torch.device) -> tuple[Tensor, Tensor]:
        """World-to-camera matrix (1, 4, 4) and intrinsics (1, 3, 3) on the device, copied there once a view."""
        held = self._views.get(id(view))
        if held is None or held[0] is not view or held[1].device != device:
            pose = torch.eye(4, dtype=torch.float64)
            pose[:3, :3], pose[:3, 3] = torch.as_tensor(view.rotation), torch.as_tensor(view.translation)
            matrix = torch.tensor([[view.fx, 0.0, view.cx], [0.0, view.fy, view.cy], [0.0, 0.0, 1.0]])
            if len(self._views) >= CACHED_VIEWS:
                self._views.clear()
            held = (view, pose[None].to(device, torch.float32), matrix[None].to(device, torch.float32))
            self._views[id(view)] = held
        return held[1], held[2]

    def _empty(
        self, planes: Tensor, view: PinholeView, light: Tensor | None, depth: bool, contribution: bool
    ) -> TorchRendered:
        """The picture of nothing."""
        self._last = _Pass((), 0, planes.shape[1])
        nothing = torch.zeros((view.height, view.width), device=planes.device)
        image = torch.zeros((view.height, view.width, 3), device=planes.device)
        return TorchRendered(
            image if light is None else image + light[0],
            nothing,
            nothing.clone() if depth else None,
            planes.new_zeros(0) if contribution else None,
        )


def _gsplat_rasterization() -> Rasterization:
    import gsplat

    chosen: Rasterization = gsplat.rasterization
    return chosen


def _leaves(planes: Tensor, count: int, sh_degree: int) -> tuple[Tensor, ...]:
    """Means (N,3), log scales (N,3), quaternions (N,4), logits (N,), SH (N,K,3): copies that want a gradient.

    Copies, because gsplat wants Gaussians in rows; and one a parameter, because a slice of one leaf would have a
    gradient as large as the whole. Only the coefficients in use are copied.
    """
    coefficients = (sh_degree + 1) ** 2
    live = planes.detach()[:, :count]
    tables = (
        live[layout.MEAN : layout.MEAN + 3].t(),
        live[layout.LOG_SCALE : layout.LOG_SCALE + 3].t(),
        live[layout.QUAT : layout.QUAT + 4].t(),
        live[layout.OPACITY],
        live[layout.SH : layout.SH + 3 * coefficients].t().reshape(count, coefficients, 3),
    )
    return tuple(table.clone(memory_format=torch.contiguous_format).requires_grad_() for table in tables)


def _scene(leaves: tuple[Tensor, ...]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Means, quaternions, scales, opacities as gsplat takes them, with what it cannot draw made invisible."""
    means, log_scales, quats, logits, _ = leaves
    scales = log_scales.clamp(max=LOG_SCALE_MAX).exp()
    drawable = (log_scales.detach() <= LOG_SCALE_MAX).all(dim=1)
    opacities = torch.where(drawable, torch.sigmoid(logits), torch.zeros_like(logits))
    turned = (quats.detach() * quats.detach()).sum(dim=1, keepdim=True) > 1e-24
    identity = quats.new_tensor([1.0, 0.0, 0.0, 0.0])
    return means, torch.where(turned, quats, identity), scales, opacities


def _scatter(found: tuple[Tensor | None, ...], grads: Tensor, count: int) -> None:
    """Gradients of the leaves into the rows of `grads`; all else becomes zero."""
    starts = (layout.MEAN, layout.LOG_SCALE, layout.QUAT, layout.OPACITY, layout.SH)
    ends = (*starts[1:], layout.ROWS)
    grads[:, count:] = 0.0
    for gradient, start, end in zip(found, starts, ends, strict=True):
        if gradient is None:
            grads[start:end, :count] = 0.0
            continue
        rows = gradient.reshape(count, -1).t()
        grads[start : start + len(rows), :count] = rows
        grads[start + len(rows) : end, :count] = 0.0
