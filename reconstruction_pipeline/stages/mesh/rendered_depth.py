"""Depth of the trained Gaussians from every captured view, without what a mesh should not be made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from reconstruction_pipeline.artifacts.gaussian_splats import Gaussians
from reconstruction_pipeline.kernels.camera import PinholeView
from reconstruction_pipeline.kernels.depth_agreement import agreement
from reconstruction_pipeline.stages.mesh.settings import MeshSettings

Floats = npt.NDArray[np.float32]
_SETTINGS: dict[str, Any] = {"nogil": True, "fastmath": True, "error_model": "numpy", "cache": True}

LAYERS_APART = 0.05
"""Where mean and median depth differ by more, the ray meets several layers and neither is a surface."""


class SurfaceView(NamedTuple):
    """`depth` (H, W) float32, 0 where unknown; `cosine` (H, W) float32 of the angle between ray and normal."""

    depth: Floats
    cosine: Floats
    view: PinholeView


def render_depths(
    gaussians: Gaussians, views: list[PinholeView], settings: MeshSettings, report: Callable[[float], None]
) -> list[SurfaceView]:
    """Per view, the depth where the Gaussians are opaque, one layer, and not seen at a flat angle."""
    from reconstruction_pipeline.kernels.layout import to_planes
    from reconstruction_pipeline.kernels.rasterizer import Rasterizer

    g = gaussians
    planes = to_planes(g.means, g.log_scales, g.quats, g.opacity_logits, g.sh)
    rasterizer = Rasterizer(settings.threads)
    result = []
    for done, view in enumerate(views, start=1):
        # Colour is not needed: degree 0 is the cheapest.
        rendered = rasterizer.forward(planes, gaussians.count, view, sh_degree=0, depth=True)
        assert rendered.expected_depth is not None and rendered.median_depth is not None
        result.append(surface_view(rendered.alpha, rendered.expected_depth, rendered.median_depth, view, settings))
        report(done / len(views))
    return result


def surface_view(
    alpha: Floats, expected: Floats, median: Floats, view: PinholeView, settings: MeshSettings
) -> SurfaceView:
    """Filter one view's depth; all (H, W) float32.

    The median says which layer it is; the mean of the same layer is smoother, as it does not jump from the
    centre of one Gaussian to that of the next.
    """
    single = (alpha >= settings.min_alpha) & (median > 0) & (np.abs(expected - median) < LAYERS_APART * median)
    depth = np.where(single, expected, 0).astype(np.float32)
    cosine = viewing_cosine(depth, view)
    return SurfaceView(np.where(cosine >= settings.min_cosine, depth, 0).astype(np.float32), cosine, view)


def viewing_cosine(depth: Floats, view: PinholeView) -> Floats:
    """|cosine| (H, W) between the ray and the surface normal, from the pixels two away; 0 at the edges of a surface."""
    out = np.zeros(depth.shape, np.float32)
    _cosines(depth, np.array([view.fx, view.fy, view.cx, view.cy]), out)
    return out


@njit(**_SETTINGS)
def _cosines(depth, pinhole, out):  # type: ignore[no-untyped-def]
    height, width = depth.shape
    fx, fy, cx, cy = pinhole
    for y in range(height):
        up, down = max(y - 2, 0), min(y + 2, height - 1)
        for x in range(width):
            left, right = max(x - 2, 0), min(x + 2, width - 1)
            z = depth[y, x]
            zl, zr, zu, zd = depth[y, left], depth[y, right], depth[up, x], depth[down, x]
            if z <= 0 or zl <= 0 or zr <= 0 or zu <= 0 or zd <= 0:
                continue
            ax = (right + 0.5 - cx) / fx * zr - (left + 0.5 - cx) / fx * zl
            ay = (y + 0.5 - cy) / fy * (zr - zl)
            az = zr - zl
            bx = (x + 0.5 - cx) / fx * (zd - zu)
            by = (down + 0.5 - cy) / fy * zd - (up + 0.5 - cy) / fy * zu
            bz = zd - zu
            nx, ny, nz = ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx
            rx, ry = (x + 0.5 - cx) / fx, (y + 0.5 - cy) / fy
            length = np.sqrt((nx * nx + ny * ny + nz * nz) * (rx * rx + ry * ry + 1.0))
            if length > 0:
                out[y, x] = abs(nx * rx + ny * ry + nz) / length


def keep_agreed(surfaces: list[SurfaceView], neighbours: list[list[int]], settings: MeshSettings) -> list[SurfaceView]:
    """Set to unknown what too few of the neighbouring views confirm, or more look through than confirm."""
    result = []
    for surface, others in zip(surfaces, neighbours, strict=True):
        seen = [(surfaces[j].depth, surfaces[j].view) for j in others]
        agree, through, _ = agreement(surface.depth, surface.view, seen, settings.depth_tolerance)
        needed = min(settings.min_consistent, len(others))
        kept = (agree >= needed) & (through <= agree)
        result.append(surface._replace(depth=np.where(kept, surface.depth, 0).astype(np.float32)))
    return result
