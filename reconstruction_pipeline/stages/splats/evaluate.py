"""How good a scene is: PSNR, SSIM and LPIPS of rendered against real pictures, view by view. Raw: nothing is fitted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.artifacts.gaussian_splats import Gaussians
from reconstruction_pipeline.kernels.camera import PinholeView
from reconstruction_pipeline.kernels.loss import l1_ssim
from reconstruction_pipeline.kernels.metrics import psnr, ssim
from reconstruction_pipeline.stages.splats.devices.base import Device
from reconstruction_pipeline.stages.splats.normalisation import normalise
from reconstruction_pipeline.stages.splats.state import to_planes
from reconstruction_pipeline.stages.splats.views import LoadedView

NEAR = 0.02
"""Near plane in units of the scene's median depth."""

Render = Callable[[PinholeView], npt.NDArray[np.float32]]


class ViewScore(NamedTuple):
    """One evaluated view; `lpips` is None where its weights are absent or the picture is too small for it."""

    name: str
    psnr: float
    ssim: float
    lpips: float | None = None


class Perceptual(Protocol):
    """A distance of two (H, W, 3) pictures of which only the pixels in `kept` (H, W) count; None where it has none."""

    def __call__(
        self, image: npt.NDArray[Any], target: npt.NDArray[Any], kept: npt.NDArray[np.bool_] | None = None
    ) -> float | None:
        """The distance."""


def renderer(gaussians: Gaussians, cameras: Sequence[PinholeView], device: Device | None = None) -> Render:
    """A function that renders Gaussians from any camera of their frame, over black; on the CPU if no device is given.

    The near plane follows the median depth of the Gaussians from `cameras`, so that the numbers do
    not depend on the unit of the world.
    """
    from reconstruction_pipeline.stages.splats.devices.cpu import CpuDevice

    on = device or CpuDevice()
    frame = normalise(cameras, gaussians.means)
    planes = on.put(to_planes(frame.apply(gaussians)))

    def render(camera: PinholeView) -> npt.NDArray[np.float32]:
        rendered = on.rasterizer.forward(planes, gaussians.count, frame.camera(camera), sh_degree=3, near=NEAR)
        return np.array(on.get(rendered.image), copy=True)

    return render


def score(render: Render, views: Iterable[LoadedView], perceptual: Perceptual | None = None) -> list[ViewScore]:
    """PSNR, SSIM and `perceptual` of each view, at the view's own size; what its mask ignores does not count."""
    rows = []
    for view in views:
        image = render(view.camera)
        if view.mask is None:
            distance = perceptual(image, view.image) if perceptual else None
            rows.append(ViewScore(view.name, psnr(image, view.image), ssim(image, view.image), distance))
        elif (kept := view.mask == 255).any():
            weight = kept.astype(np.float32)
            mean_ssim = l1_ssim(np.clip(image, 0.0, 1.0), view.image, weight=weight)[0].ssim
            distance = perceptual(image, view.image, kept) if perceptual else None
            rows.append(ViewScore(view.name, psnr(image[kept][None], view.image[kept][None]), mean_ssim, distance))
    return rows


def mean_scores(rows: Sequence[ViewScore]) -> tuple[float, float]:
    """(PSNR, SSIM), averaged over views."""
    return float(np.mean([row.psnr for row in rows])), float(np.mean([row.ssim for row in rows]))


def mean_lpips(rows: Sequence[ViewScore]) -> float | None:
    """LPIPS averaged over views; None unless every view has one."""
    known = [row.lpips for row in rows if row.lpips is not None]
    return float(np.mean(known)) if known and len(known) == len(rows) else None
