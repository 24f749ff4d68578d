"""Do other views see the same surface? Reprojection of one depth map into others.

Used where depth is estimated (multi-view stereo) and where rendered depth is fused into a mesh.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from reconstruction_pipeline.kernels.camera import PinholeView

Array = npt.NDArray[np.float32]


def agreement(
    depth: Array, view: PinholeView, others: list[tuple[Array, PinholeView]], tolerance: float
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8], Array]:
    """Compare a depth map with those of other views.

    depth (H, W) float32, z in the camera frame, 0 where unknown, of `view`, whose size is the map's;
    `others` the same. Two depths agree when they differ by less than `tolerance`, relatively.
    Returns, all (H, W): how many others agree; how many look through the point, that is, see only something
    farther there; and the mean of the agreeing depths with the own, 0 where the own is unknown.
    """
    agree = np.zeros(depth.shape, np.uint8)
    through = np.zeros(depth.shape, np.uint8)
    total = depth.astype(np.float32).copy()
    for other_depth, other in others:
        if other_depth.shape != (other.height, other.width):
            raise ValueError("A depth map and its view must have the same size.")
        rotation = other.rotation @ view.rotation.T
        offset = other.translation - rotation @ view.translation
        _compare(
            depth, other_depth, rotation.astype(np.float64), offset.astype(np.float64),
            np.array([view.fx, view.fy, view.cx, view.cy]), np.array([other.fx, other.fy, other.cx, other.cy]),
            tolerance, agree, through, total,
        )  # fmt: skip
    return agree, through, total / (1 + agree.astype(np.float32))


@njit(nogil=True, fastmath=True, error_model="numpy", cache=True)
def _compare(depth, other, rotation, offset, pinhole, other_pinhole, tolerance, agree, through, total):  # type: ignore[no-untyped-def]
    height, width = depth.shape
    other_height, other_width = other.shape
    fx, fy, cx, cy = pinhole
    ox, oy, ocx, ocy = other_pinhole
    for y in range(height):
        for x in range(width):
            z = depth[y, x]
            if z <= 0:
                continue
            px, py = (x + 0.5 - cx) / fx * z, (y + 0.5 - cy) / fy * z
            qz = rotation[2, 0] * px + rotation[2, 1] * py + rotation[2, 2] * z + offset[2]
            if qz <= 1e-9:
                continue
            u = ox * (rotation[0, 0] * px + rotation[0, 1] * py + rotation[0, 2] * z + offset[0]) / qz + ocx
            v = oy * (rotation[1, 0] * px + rotation[1, 1] * py + rotation[1, 2] * z + offset[1]) / qz + ocy
            if u < 0 or v < 0 or u >= other_width or v >= other_height:
                continue
            found = _surface_at(other, u - 0.5, v - 0.5)
            if found <= 0:
                continue
            if abs(found - qz) < tolerance * qz:
                agree[y, x] += 1
                # The other's point on its ray through (u, v), brought back: its z in this camera.
                kx = (u - ocx) / ox * found - offset[0]
                ky = (v - ocy) / oy * found - offset[1]
                kz = found - offset[2]
                total[y, x] += rotation[0, 2] * kx + rotation[1, 2] * ky + rotation[2, 2] * kz
            elif found > qz * (1 + 2 * tolerance):
                through[y, x] += 1


@njit(nogil=True, fastmath=True, error_model="numpy", cache=True)
def _surface_at(depth, x, y):  # type: ignore[no-untyped-def]
    """Depth at (x, y), centres at integers: bilinear on one smooth surface, else the nearest pixel's."""
    height, width = depth.shape
    x = min(max(x, 0.0), width - 1.0)
    y = min(max(y, 0.0), height - 1.0)
    i, j = min(int(y), max(height - 2, 0)), min(int(x), max(width - 2, 0))
    k, m = min(i + 1, height - 1), min(j + 1, width - 1)
    a, b, c, d = depth[i, j], depth[i, m], depth[k, j], depth[k, m]
    low, high = min(min(a, b), min(c, d)), max(max(a, b), max(c, d))
    if low <= 0 or high > 1.03 * low:
        return depth[int(y + 0.5), int(x + 0.5)]
    s, t = x - j, y - i
    return (a * (1 - s) + b * s) * (1 - t) + (c * (1 - s) + d * s) * t
