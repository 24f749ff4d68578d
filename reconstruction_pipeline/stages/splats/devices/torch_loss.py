"""The losses of training on torch tensors: what `kernels.loss`, `kernels.colour` and `losses` do on the CPU.

Gradients are written out as there, not left to autograd: half the memory, and one number is the loss on both devices.
Values are tensors of no dimension, so that nobody waits for the device before the number is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from reconstruction_pipeline.kernels.loss import C1, C2, HALF, WINDOW, LossValue, gaussian_taps
from reconstruction_pipeline.stages.splats.losses import DEPTH_TOLERANCE


def as_unit(picture: Tensor) -> Tensor:
    """A picture in 0..1: eight-bit values over 255, others as they are."""
    return picture.to(torch.float32) * (1.0 / 255.0) if picture.dtype == torch.uint8 else picture


@lru_cache(maxsize=4)
def _taps(device: torch.device, planes: int) -> Tensor:
    return torch.from_numpy(gaussian_taps()).to(device).expand(planes, 1, 1, WINDOW).contiguous()


def blur(planes: Tensor) -> Tensor:
    """Each of (K, H, W) under the 11x11 Gaussian window of SSIM, zeros outside.

    Without cuDNN, whose TF32 keeps ten bits: SSIM takes small differences of what comes out.
    """
    count = len(planes)
    taps = _taps(planes.device, count)
    with torch.backends.cudnn.flags(enabled=False):
        across = torch.nn.functional.conv2d(planes[None], taps, padding=(0, HALF), groups=count)
        both = torch.nn.functional.conv2d(across, taps.transpose(2, 3), padding=(HALF, 0), groups=count)
    return both[0]


def l1_ssim(
    image: Tensor, target: Tensor, lambda_ssim: float = 0.2, weight: Tensor | None = None
) -> tuple[LossValue, Tensor]:
    """See `kernels.loss.l1_ssim`; image and target (H, W, 3), weight (H, W). A weight of no mass gives NaN."""
    if image.shape != target.shape or image.shape[2:] != (3,):
        raise ValueError(f"image {tuple(image.shape)} and target {tuple(target.shape)} must both be (H, W, 3)")
    x = image.permute(2, 0, 1).contiguous()
    y = as_unit(target).permute(2, 0, 1).contiguous()
    each: Any = 1.0 / image.numel() if weight is None else weight / (3.0 * weight.sum())
    a, b, energy, product = blur(torch.cat((x, y, x * x + y * y, x * y))).split(3)
    ab, squares = a * b, a * a + b * b
    n1, n2 = 2.0 * ab + float(C1), 2.0 * (product - ab) + float(C2)
    d1, d2 = squares + float(C1), energy - squares + float(C2)
    scaled = each / (d1 * d2)
    similarity = n1 * n2 * scaled
    by_product = 2.0 * n1 * scaled
    by_energy = -similarity / d2
    by_mean = 2.0 * b * n2 * scaled - b * by_product - 2.0 * a * (similarity / d1 + by_energy)
    of_mean, of_energy, of_product = blur(torch.cat((by_mean, by_energy, by_product))).split(3)
    difference = x - y
    gradient = (1.0 - lambda_ssim) * each * difference.sign()
    gradient -= lambda_ssim * (of_mean + 2.0 * x * of_energy + y * of_product)
    l1, ssim = (difference.abs() * each).sum(), similarity.sum()
    total: Any = (1.0 - lambda_ssim) * l1 + lambda_ssim * (1.0 - ssim)
    return LossValue(total, l1, ssim), gradient.permute(1, 2, 0).contiguous()


def depth_loss(expected: Tensor, depth: Tensor, weight: float) -> tuple[Any, Tensor]:
    """See `losses.depth_loss`; expected and depth (H, W)."""
    known = (depth > 0.0) & (expected > 0.0)
    count = known.sum().clamp(min=1)
    safe = torch.where(known, depth, torch.ones_like(depth))
    error = torch.where(known, (expected - depth) / safe, torch.zeros_like(depth))
    size = error.abs()
    inside = size < DEPTH_TOLERANCE
    value = weight * size.clamp(max=DEPTH_TOLERANCE).sum() / count
    gradient = torch.where(inside, error.sign() / safe, torch.zeros_like(safe)) * (weight / count)
    return value, gradient


def composite(image: Tensor, alpha: Tensor, background: Sequence[float]) -> Tensor:
    """Premultiplied eight-bit `image` (H, W, 3) with `alpha` (H, W) over a colour, float32."""
    colour = torch.tensor(tuple(background), dtype=torch.float32, device=image.device)
    return as_unit(image) + (1.0 - as_unit(alpha))[:, :, None] * colour


def fitted_gain(image: Tensor, target: Tensor) -> Tensor:
    """(3,) gain that fits `image` (H, W, 3) to `target` in least squares; 1 for black."""
    cross = (image * as_unit(target)).sum(dim=(0, 1), dtype=torch.float64)
    square = (image * image).sum(dim=(0, 1), dtype=torch.float64)
    lit = square > 1e-6 * image.shape[0] * image.shape[1]
    return torch.where(lit, cross / square.clamp(min=1e-12), torch.ones_like(square))
