"""A truncated signed distance field on a sparse grid of 8x8x8 blocks, fused from depth maps.

Curless and Levoy (1996), with blocks only where surfaces are, as in Nießner et al. (2013). A dense
array of block numbers stands in for the hash table: the region is bounded, so it is small and makes
every neighbour a direct look-up.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from reconstruction_pipeline.kernels.camera import PinholeView

Floats = npt.NDArray[np.float32]

BLOCK = 8
VOXELS = BLOCK**3
LONGEST_BAND = 3.0
"""Blocks are made at most this many truncations before and behind a surface along the ray."""
_SETTINGS: dict[str, Any] = {"nogil": True, "fastmath": True, "error_model": "numpy", "cache": True}


@dataclass(frozen=True)
class DepthView:
    """One depth map to fuse: `depth` (H, W) float32, z, 0 where unknown; `cosine` (H, W) float32 of the angle between
    ray and surface normal, > 0 where depth is known; its camera."""

    depth: Floats
    cosine: Floats
    view: PinholeView

    def parameters(self) -> npt.NDArray[np.float64]:
        """Rotation, translation, fx, fy, cx, cy in one flat row of 16."""
        v = self.view
        return np.concatenate([v.rotation.ravel(), v.translation, [v.fx, v.fy, v.cx, v.cy]]).astype(np.float64)


@dataclass
class Tsdf:
    """Voxel (x, y, z), an integer triple, has its centre at `origin` + `voxel` * (x, y, z), world units.

    `blocks` (bx, by, bz) int32: the number of the block at that place, -1 for none. `distance` and `weight`
    (blocks, 512) float32: mean signed distance / `truncation` in -1..1, positive in front of surfaces, in
    x-major order within a block; weight 0 where nothing was seen.
    """

    origin: npt.NDArray[np.float64]
    voxel: float
    truncation: float
    blocks: npt.NDArray[np.int32]
    places: npt.NDArray[np.int32]
    distance: Floats
    weight: Floats


def fuse(
    views: list[DepthView], low: npt.NDArray[np.float64], high: npt.NDArray[np.float64], voxel: float,
    truncation_voxels: float, threads: int | None = None, report: Callable[[float], None] | None = None,
) -> Tsdf:  # fmt: skip
    """Fuse depth maps inside the box `low`..`high` (3,). `report` hears the share that is done, and may raise."""
    truncation = voxel * truncation_voxels
    grid = np.maximum(1, np.ceil((high - low) / (voxel * BLOCK)).astype(int))
    marks = np.zeros(tuple(grid), np.uint8)
    with ThreadPoolExecutor(threads or os.cpu_count() or 1) as pool:
        list(pool.map(lambda v: _mark(v.depth, v.cosine, v.parameters(), low, voxel, truncation, marks), views))
        places = np.ascontiguousarray(np.argwhere(marks), np.int32)
        blocks = np.full(marks.shape, -1, np.int32)
        blocks[tuple(places.T)] = np.arange(len(places), dtype=np.int32)
        field = Tsdf(
            low.astype(np.float64), voxel, truncation, blocks, places,
            np.zeros((len(places), VOXELS), np.float32), np.zeros((len(places), VOXELS), np.float32),
        )  # fmt: skip
        for done, view in enumerate(views, start=1):
            # Threads share out the blocks of one view, so that the sums are the same for any number of threads.
            parts = np.array_split(np.arange(len(places)), 4 * (threads or os.cpu_count() or 1))
            spans = [(p[0], p[-1] + 1) for p in parts if len(p)]
            list(pool.map(lambda span, v=view: _add(field, v, *span), spans))
            if report is not None:
                report(done / len(views))
    return field


def _add(field: Tsdf, view: DepthView, first: int, last: int) -> None:
    _integrate(
        view.depth, view.cosine, view.parameters(), field.origin, field.voxel, field.truncation,
        field.places[first:last], field.distance[first:last], field.weight[first:last],
    )  # fmt: skip


@njit(**_SETTINGS)
def _mark(depth, cosine, camera, origin, voxel, truncation, marks):  # type: ignore[no-untyped-def]
    """Mark the blocks that the truncation band of any pixel passes; on slanted surfaces it is longer along the ray."""
    height, width = depth.shape
    size = voxel * BLOCK
    for y in range(height):
        for x in range(width):
            z = depth[y, x]
            if z <= 0:
                continue
            rx = (x + 0.5 - camera[14]) / camera[12]
            ry = (y + 0.5 - camera[15]) / camera[13]
            reach = min(truncation / max(cosine[y, x], 1e-3), LONGEST_BAND * truncation)
            steps = int(np.ceil(2 * reach / (0.4 * size)))
            for k in range(steps + 1):
                t = z + reach * (2.0 * k / steps - 1.0)
                px, py, pz = rx * t - camera[9], ry * t - camera[10], t - camera[11]
                i = int(np.floor((camera[0] * px + camera[3] * py + camera[6] * pz - origin[0]) / size))
                j = int(np.floor((camera[1] * px + camera[4] * py + camera[7] * pz - origin[1]) / size))
                m = int(np.floor((camera[2] * px + camera[5] * py + camera[8] * pz - origin[2]) / size))
                if 0 <= i < marks.shape[0] and 0 <= j < marks.shape[1] and 0 <= m < marks.shape[2]:
                    marks[i, j, m] = 1


@njit(**_SETTINGS)
def _integrate(depth, cosine, camera, origin, voxel, truncation, places, distance, total):  # type: ignore[no-untyped-def]
    """Add one view to some blocks: running means, weighted by the cosine, of the distance to the surface's tangent.

    That is the distance along the ray times the cosine: unlike the former alone, it makes the band as deep, and
    the noise as small, on a floor seen from the side as on a wall seen from the front.
    """
    height, width = depth.shape
    fx, fy, cx, cy = camera[12], camera[13], camera[14], camera[15]
    radius = 0.5 * np.sqrt(3.0) * BLOCK * voxel
    for b in range(places.shape[0]):
        x0 = origin[0] + voxel * BLOCK * places[b, 0]
        y0 = origin[1] + voxel * BLOCK * places[b, 1]
        z0 = origin[2] + voxel * BLOCK * places[b, 2]
        cu = camera[0] * x0 + camera[1] * y0 + camera[2] * z0 + camera[9]
        cv = camera[3] * x0 + camera[4] * y0 + camera[5] * z0 + camera[10]
        cw = camera[6] * x0 + camera[7] * y0 + camera[8] * z0 + camera[11]
        half = 0.5 * BLOCK * voxel
        mu = cu + half * (camera[0] + camera[1] + camera[2])
        mv = cv + half * (camera[3] + camera[4] + camera[5])
        mw = cw + half * (camera[6] + camera[7] + camera[8])
        if mw < -radius:
            continue
        # Outside a side of the view frustum by more than the block's radius (side planes, not normalised).
        if mw > radius:
            u, v = fx * mu / mw + cx, fy * mv / mw + cy
            reach_u = 1.5 * fx * radius / (mw - radius) + 1
            reach_v = 1.5 * fy * radius / (mw - radius) + 1
            if u < -reach_u or u > width + reach_u or v < -reach_v or v > height + reach_v:
                continue
        n = 0
        for i in range(BLOCK):
            for j in range(BLOCK):
                pu = cu + voxel * (camera[0] * i + camera[1] * j)
                pv = cv + voxel * (camera[3] * i + camera[4] * j)
                pw = cw + voxel * (camera[6] * i + camera[7] * j)
                for k in range(BLOCK):
                    w = pw + voxel * camera[8] * k
                    if w > 1e-9:
                        x = fx * (pu + voxel * camera[2] * k) / w + cx - 0.5
                        y = fy * (pv + voxel * camera[5] * k) / w + cy - 0.5
                        if x > -0.5 and y > -0.5 and x < width - 0.5 and y < height - 0.5:
                            column, row = int(x + 0.5), int(y + 0.5)
                            surface = depth[row, column]
                            if surface > 0:
                                share = cosine[row, column]
                                signed = (_surface_at(depth, x, y, surface, truncation) - w) * share
                                if signed > -truncation:
                                    value = min(1.0, signed / truncation)
                                    # Behind the surface belief falls to nothing, so that the back of one
                                    # surface does not spoil the front of another.
                                    share *= min(1.0, 1.25 * (1.0 + value)) if value < 0.0 else 1.0
                                    before = total[b, n]
                                    total[b, n] = before + share
                                    distance[b, n] += (value - distance[b, n]) * share / (before + share)
                    n += 1


@njit(**_SETTINGS)
def _surface_at(depth, x, y, nearest, truncation):  # type: ignore[no-untyped-def]
    """Depth at (x, y), centres at integers: bilinear where the four pixels are one surface, else the nearest's."""
    height, width = depth.shape
    if x < 0 or y < 0 or x >= width - 1 or y >= height - 1:
        return nearest
    i, j = int(y), int(x)
    a, b, c, d = depth[i, j], depth[i, j + 1], depth[i + 1, j], depth[i + 1, j + 1]
    low, high = min(min(a, b), min(c, d)), max(max(a, b), max(c, d))
    if low <= 0 or high - low > truncation:
        return nearest
    s, t = x - j, y - i
    return (a * (1 - s) + b * s) * (1 - t) + (c * (1 - s) + d * s) * t
