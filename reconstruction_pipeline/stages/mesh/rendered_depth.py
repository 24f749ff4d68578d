"""Depth of the trained Gaussians from every captured view, without what a mesh should not be made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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

SMOOTH_PX, SMOOTH_RATIO = 3, 0.015
"""Reach of the bilateral filter, and the relative difference of depth at which it lets go."""
STEP = 2
"""Normals are taken over this many pixels to each side."""
SAME_SURFACE = 0.05
"""Neighbours whose depth differs by more, relatively, are not on the same surface."""


class SurfaceView(NamedTuple):
    """`depth` (H, W) float32, 0 where unknown; `cosine` (H, W) float32 of the angle between ray and normal; `opaque`
    (H, W) where there is something, if at an unknown depth (None: not known)."""

    depth: Floats
    cosine: Floats
    view: PinholeView
    opaque: npt.NDArray[np.bool_] | None = None


def render_depths(
    gaussians: Gaussians, views: list[PinholeView], settings: MeshSettings, report: Callable[[float], None]
) -> list[SurfaceView]:
    """Per view, the depth where the Gaussians are opaque and not seen at a flat angle."""
    from reconstruction_pipeline.kernels.layout import to_planes
    from reconstruction_pipeline.kernels.rasterizer import Rasterizer

    g = gaussians
    planes = to_planes(g.means, g.log_scales, g.quats, g.opacity_logits, g.sh)
    rasterizer = Rasterizer(settings.threads)
    result = []
    for done, view in enumerate(views, start=1):
        # Colour is not needed: degree 0 is the cheapest.
        rendered = rasterizer.forward(planes, g.count, view, sh_degree=0, depth=True)
        assert rendered.median_depth is not None
        result.append(surface_view(rendered.alpha, rendered.median_depth, view, settings))
        report(done / len(views))
    return result


def surface_view(alpha: Floats, median: Floats, view: PinholeView, settings: MeshSettings) -> SurfaceView:
    """Filter and smooth one view's depth; `alpha`, `median` (H, W) float32.

    The median, not the blend-weighted mean: the mean lies between the layers that a ray meets, so that
    every faint floater pulls the surface towards the camera. As the median jumps from the centre of one
    Gaussian to that of the next, it is smoothed where the steps are small.
    """
    opaque = np.where((alpha >= settings.min_alpha) & (median > 0), median, 0).astype(np.float32)
    depth = smooth(opaque)
    cosine = viewing_cosine(depth, view)
    return SurfaceView(np.where(cosine >= settings.min_cosine, depth, 0).astype(np.float32), cosine, view, opaque > 0)


def smooth(depth: Floats) -> Floats:
    """Bilateral filter of the logarithm, in which equal differences are equal ratios; unknown depth stays unknown."""
    import cv2

    known = depth > 0
    if not known.any():
        return depth
    far_away = np.float32(50.0)  # so different from any depth that unknown pixels have no weight
    logarithm = np.where(known, np.log(np.where(known, depth, 1)), far_away).astype(np.float32)
    filtered = cv2.bilateralFilter(logarithm, 2 * SMOOTH_PX + 1, SMOOTH_RATIO, 0.6 * SMOOTH_PX)
    return np.where(known, np.exp(np.minimum(filtered, far_away - 10)), 0).astype(np.float32)


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
        for x in range(width):
            z = depth[y, x]
            if z <= 0:
                continue
            left, right = _reach(depth, y, x, 0, -STEP), _reach(depth, y, x, 0, STEP)
            up, down = _reach(depth, y, x, -STEP, 0), _reach(depth, y, x, STEP, 0)
            if left == right or up == down:
                continue
            zl, zr, zu, zd = depth[y, x + left], depth[y, x + right], depth[y + up, x], depth[y + down, x]
            rx, ry = (x + 0.5 - cx) / fx, (y + 0.5 - cy) / fy
            ax = (rx + right / fx) * zr - (rx + left / fx) * zl
            ay = ry * (zr - zl)
            az = zr - zl
            bx = rx * (zd - zu)
            by = (ry + down / fy) * zd - (ry + up / fy) * zu
            bz = zd - zu
            nx, ny, nz = ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx
            length = np.sqrt((nx * nx + ny * ny + nz * nz) * (rx * rx + ry * ry + 1.0))
            if length > 0:
                out[y, x] = abs(nx * rx + ny * ry + nz) / length


@njit(**_SETTINGS)
def _reach(depth, y, x, dy, dx):  # type: ignore[no-untyped-def]
    """dy + dx where the pixel that far away is on the same surface, else 0."""
    if y + dy < 0 or x + dx < 0 or y + dy >= depth.shape[0] or x + dx >= depth.shape[1]:
        return 0
    return dy + dx if abs(depth[y + dy, x + dx] - depth[y, x]) < SAME_SURFACE * depth[y, x] else 0


def without_ignored(surfaces: list[SurfaceView], counts: Sequence[npt.NDArray[np.bool_] | None]) -> list[SurfaceView]:
    """Set to unknown what does not count: `counts` (H, W) per view, None where all of it does."""
    return [
        s
        if seen is None
        else s._replace(
            depth=np.where(seen, s.depth, 0).astype(np.float32), opaque=None if s.opaque is None else s.opaque & seen
        )
        for s, seen in zip(surfaces, counts, strict=True)
    ]


def keep_agreed(
    surfaces: list[SurfaceView], neighbours: list[list[int]], settings: MeshSettings, leniency: float = 1.0
) -> list[SurfaceView]:
    """Set to unknown what too few of the neighbouring views confirm, within `leniency` times the tolerance of the
    settings, or more look through than confirm.
    """
    result = []
    for surface, others in zip(surfaces, neighbours, strict=True):
        seen = [(surfaces[j].depth, surfaces[j].view) for j in others]
        agree, through, _ = agreement(surface.depth, surface.view, seen, leniency * settings.depth_tolerance)
        needed = min(settings.min_consistent, len(others))
        kept = (agree >= needed) & (through <= agree)
        result.append(surface._replace(depth=np.where(kept, surface.depth, 0).astype(np.float32)))
    return result
