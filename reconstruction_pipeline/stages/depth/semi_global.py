"""Semi-global smoothing of a matching-cost volume, and the winning depth hypothesis of every pixel.

Hirschmüller (2008), "Stereo Processing by Semiglobal Matching and Mutual Information": costs are
accumulated along eight directions, paying P1 for a step of one plane and P2 for a jump; P2 is
lowered across edges of the picture. Four directions are done in one sweep down the image and four
in one sweep up, so that the volume passes through memory twice and not eight times.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

_SETTINGS: dict[str, Any] = {"nogil": True, "fastmath": True, "error_model": "numpy", "cache": True}
_FAR = np.float32(1e9)


@njit(**_SETTINGS)
def _advance(cost, before, before_min, p1, p2, after, total):  # type: ignore[no-untyped-def]
    """One step of a path: `before` and `after` (D + 2,) hold the path's costs with a wall at both ends.

    Adds the new costs to `total` (D,) and returns their minimum.
    """
    jump = before_min + p2
    lowest = _FAR
    for d in range(cost.size):
        stay = before[d + 1]
        step = min(before[d], before[d + 2]) + p1
        value = np.float32(cost[d]) + min(min(stay, step), jump) - before_min
        after[d + 1] = value
        total[d] += value
        lowest = min(lowest, value)
    return lowest


@njit(**_SETTINGS)
def aggregate(volume, picture, p1, p2, edge, total):  # type: ignore[no-untyped-def]
    """Sum of the costs along eight paths into `total` (H, W, D) float32.

    volume (H, W, D) uint8; picture (H, W) float32 in 0..1. A jump costs p2 / (1 + |difference| / edge), and
    at least p1, between two pixels of that difference.
    """
    height, width, planes = volume.shape
    one = np.float32(1.0)
    # Paths (previous row's column offset, or the previous column of the same row): one buffer per path
    # and column for this and the last row, with a column of walls' room on both sides.
    paths = np.empty((2, 3, width + 2, planes + 2), np.float32)
    minima = np.zeros((2, 3, width + 2), np.float32)
    along = np.empty((2, planes + 2), np.float32)
    for sweep in range(2):
        paths[:] = np.float32(0.0)
        paths[:, :, :, 0] = _FAR
        paths[:, :, :, planes + 1] = _FAR
        minima[:] = np.float32(0.0)
        back = 1 if sweep == 0 else -1
        for i in range(height):
            y = i if sweep == 0 else height - 1 - i
            now, last = i % 2, (i + 1) % 2
            along[:] = np.float32(0.0)
            along[:, 0] = _FAR
            along[:, planes + 1] = _FAR
            along_min = np.float32(0.0)
            for j in range(width):
                x = j if sweep == 0 else width - 1 - j
                cost = volume[y, x]
                out = total[y, x]
                if sweep == 0:
                    out[:] = np.float32(0.0)
                value = picture[y, x]
                if j > 0:
                    p = max(p1, p2 / (one + abs(value - picture[y, x - back]) * edge))
                    along_min = _advance(cost, along[(j + 1) % 2], along_min, p1, p, along[j % 2], out)
                else:
                    along_min = _advance(cost, along[1], np.float32(0.0), p1, p2, along[0], out)
                for k in range(3):
                    c = x + k - 1
                    p = p2
                    if i > 0 and c >= 0 and c < width:
                        p = max(p1, p2 / (one + abs(value - picture[y - back, c]) * edge))
                    minima[now, k, x + 1] = _advance(
                        cost, paths[last, k, c + 1], minima[last, k, c + 1], p1, p, paths[now, k, x + 1], out
                    )


@njit(**_SETTINGS)
def winners(total, volume, inverse_depths, depth, matching, distinct):  # type: ignore[no-untyped-def]
    """The best plane of every pixel, refined between planes by a parabola.

    total (H, W, D) float32 aggregated and volume (H, W, D) uint8 raw costs; inverse_depths (D,) equally spaced.
    Writes (H, W) float32: `depth`; `matching`, 1 - the raw cost at the winner, so the mean ZNCC of the
    best neighbours; `distinct` in 0..1, 1 - the winner's cost / the best cost two planes away or more:
    0 for an ambiguous pixel.
    """
    height, width, planes = total.shape
    step = inverse_depths[1] - inverse_depths[0]
    half, one = np.float32(0.5), np.float32(1.0)
    for y in range(height):
        for x in range(width):
            costs = total[y, x]
            lowest = _FAR
            for d in range(planes):
                lowest = min(lowest, costs[d])
            best = 0
            while costs[best] != lowest:
                best += 1
            second = _FAR
            for d in range(best - 1):
                second = min(second, costs[d])
            for d in range(best + 2, planes):
                second = min(second, costs[d])
            shift = np.float32(0.0)
            if best > 0 and best < planes - 1:
                left, right = costs[best - 1], costs[best + 1]
                bend = left - np.float32(2.0) * lowest + right
                if bend > np.float32(1e-6):
                    shift = min(max(half * (left - right) / bend, -half), half)
            depth[y, x] = one / (inverse_depths[best] + shift * step)
            matching[y, x] = np.float32(255 - volume[y, x, best]) / np.float32(255.0)
            distinct[y, x] = max(one - lowest / max(second, one), np.float32(0.0))
