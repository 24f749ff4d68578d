"""Photo-consistency of one image with its neighbours over a set of fronto-parallel planes.

Plane-sweep stereo (Collins 1996): every inverse-depth hypothesis is a homography from the
reference into a neighbour. The cost is 1 - ZNCC over a square window, which is blind to the gain
and offset of the exposure, and per pixel and plane only the best neighbours count, which is how
Kang, Szeliski and Chai (2001) deal with occlusion.

The image is done in bands of rows, all planes of a band at a time, so that the working set stays
in the cache; a band is transposed at its end into the (row, column, plane) volume that the
semi-global pass wants. All inner loops run along a row of float32 without branches.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

RADIUS = 2
WINDOW = 2 * RADIUS + 1
BAND_ROWS = 32
NOISE_VARIANCE = np.float32((0.5 / 255.0) ** 2)
"""Added to the windows' variances: texture below the rounding gives a ZNCC of zero instead of amplified noise."""
COST_SCALE = np.float32(255.0)
"""Cost 1 (no correlation, or outside the neighbour) in the uint8 volume."""

_SETTINGS: dict[str, Any] = {"nogil": True, "fastmath": True, "error_model": "numpy", "cache": True}
_EXACT: dict[str, Any] = {**_SETTINGS, "fastmath": False}
"""The compiler makes a vector form and a plain form of a loop, and the addresses of its arrays decide which one runs
(they may overlap). Where a loop sums, fast maths adds in another order in each, and no two runs are alike."""


@njit(**_SETTINGS)
def _locate_row(width, height, x0, y0, z0, dx, dy, dz, index, fraction_x, fraction_y, inside):  # type: ignore[no-untyped-def]
    """Where a row of the reference falls in a neighbour stored flat with rows of width + 1.

    Column j maps to ((x0 + j dx) / (z0 + j dz), (y0 + j dy) / (z0 + j dz)), in pixels whose centres are
    integers. `inside` gets 1 where that is in the picture and in front of the camera, else 0.
    """
    right, bottom = np.float32(width - 1), np.float32(height - 1)
    stride = np.int32(width + 1)
    zero, one, tiny = np.float32(0.0), np.float32(1.0), np.float32(1e-6)
    for j in range(index.size):
        t = np.float32(np.int32(j))
        z = z0 + t * dz
        inverse = one / max(z, tiny)
        x = (x0 + t * dx) * inverse
        y = (y0 + t * dy) * inverse
        cx = min(max(x, zero), right)
        cy = min(max(y, zero), bottom)
        inside[j] = one if (cx == x) & (cy == y) & (z > tiny) else zero
        ix, iy = np.int32(cx), np.int32(cy)
        fraction_x[j] = cx - np.float32(ix)
        fraction_y[j] = cy - np.float32(iy)
        index[j] = iy * stride + ix


@njit(**_SETTINGS)
def _sample_row(source, stride, index, fraction_x, fraction_y, out):  # type: ignore[no-untyped-def]
    """Bilinear samples; apart from `_locate_row` because a loop with gathers and stores cannot be vectorised."""
    for j in range(out.size):
        i = np.uint32(index[j])
        k = np.uint32(i + stride)
        fx = fraction_x[j]
        a, b = source[i], source[k]
        top = a + fx * (source[np.uint32(i + np.uint32(1))] - a)
        low = b + fx * (source[np.uint32(k + np.uint32(1))] - b)
        out[j] = top + fraction_y[j] * (low - top)


@njit(**_SETTINGS)
def _add_row(warped, reference, sign, sum_w, sum_ww, sum_wr):  # type: ignore[no-untyped-def]
    """Add (sign 1) or take away (sign -1) a row from the column sums of w, w^2 and w r."""
    for j in range(warped.size):
        w = warped[j] * sign
        sum_w[j] += w
        sum_ww[j] += w * warped[j]
        sum_wr[j] += w * reference[j]


@njit(**_SETTINGS)
def _box_row(columns, out):  # type: ignore[no-untyped-def]
    """Sums of WINDOW neighbouring columns; `columns` is longer than `out` by 2 RADIUS."""
    for j in range(out.size):
        total = columns[j]
        for k in range(1, WINDOW):
            total += columns[j + k]
        out[j] = total


@njit(**_SETTINGS)
def _cost_row(sum_w, sum_ww, sum_wr, mean, inverse_std, inside, cost):  # type: ignore[no-untyped-def]
    """1 - ZNCC in 0..1 (anticorrelation counts as none), and 1 outside of the neighbour."""
    zero, one = np.float32(0.0), np.float32(1.0)
    per_area = np.float32(1.0 / (WINDOW * WINDOW))
    for j in range(cost.size):
        m = sum_w[j] * per_area
        variance = max(sum_ww[j] * per_area - m * m, zero) + NOISE_VARIANCE
        covariance = sum_wr[j] * per_area - m * mean[j]
        zncc = covariance * inverse_std[j] / np.sqrt(variance)
        cost[j] = one - inside[j] * min(max(zncc, zero), one)


@njit(**_SETTINGS)
def _keep_best(cost, best):  # type: ignore[no-untyped-def]
    """Insert a row of costs into the ascending rows of `best`, dropping the largest."""
    for k in range(best.shape[0]):
        row = best[k]
        for j in range(cost.size):
            low = min(row[j], cost[j])
            cost[j] = max(row[j], cost[j])
            row[j] = low


@njit(**_EXACT)
def window_statistics(reference):  # type: ignore[no-untyped-def]
    """Mean and 1 / standard deviation of every window of a picture padded by RADIUS on all sides."""
    height, width = reference.shape[0] - 2 * RADIUS, reference.shape[1] - 2 * RADIUS
    mean = np.empty((height, width), np.float32)
    inverse_std = np.empty((height, width), np.float32)
    area = np.float32(WINDOW * WINDOW)
    for y in range(height):
        for x in range(width):
            total, squares = np.float32(0.0), np.float32(0.0)
            for v in range(y, y + WINDOW):
                for u in range(x, x + WINDOW):
                    total += reference[v, u]
                    squares += reference[v, u] * reference[v, u]
            m = total / area
            mean[y, x] = m
            inverse_std[y, x] = np.float32(1.0) / np.sqrt(max(squares / area - m * m, np.float32(0.0)) + NOISE_VARIANCE)
    return mean, inverse_std


@njit(**_SETTINGS)
def sweep(reference, mean, inverse_std, sources, source_width, rotations, offsets, depths, keep, volume):  # type: ignore[no-untyped-def]
    """Fill `volume` (H, W, D) uint8 with the mean cost of the `keep` best of N neighbours, 255 for cost 1.

    reference (H + 2 RADIUS, W + 2 RADIUS) float32, edge-padded; mean, inverse_std (H, W) of its windows.
    sources (N, (h + 1) (w + 1)) float32, each flattened after one replicated column and row; source_width = w.
    rotations (N, 3, 3), offsets (N, 3) float32: the reference pixel (u, v), centres at integers, at depth z
    appears in neighbour n at z * rotations[n] @ (u, v, 1) + offsets[n], homogeneous, centres at integers.
    depths (D,) float32.
    """
    height, width = mean.shape
    padded = width + 2 * RADIUS
    planes, neighbours = depths.size, sources.shape[0]
    stride = np.uint32(source_width + 1)
    source_height = sources.shape[1] // (source_width + 1) - 1
    scale = np.float32(COST_SCALE / np.float32(keep))
    one = np.float32(1.0)
    index = np.empty(padded, np.int32)
    fraction_x, fraction_y = np.empty(padded, np.float32), np.empty(padded, np.float32)
    warped = np.empty((BAND_ROWS + 2 * RADIUS, padded), np.float32)
    inside = np.empty((BAND_ROWS + 2 * RADIUS, padded), np.float32)
    sum_w, sum_ww, sum_wr = np.empty(padded, np.float32), np.empty(padded, np.float32), np.empty(padded, np.float32)
    box_w, box_ww, box_wr = np.empty(width, np.float32), np.empty(width, np.float32), np.empty(width, np.float32)
    cost = np.empty(width, np.float32)
    best = np.empty((BAND_ROWS, keep, width), np.float32)
    band_costs = np.empty((planes, BAND_ROWS * width), np.uint8)
    u = np.float32(-RADIUS)
    for top in range(0, height, BAND_ROWS):
        rows = min(BAND_ROWS, height - top)
        for d in range(planes):
            best[:] = one
            for n in range(neighbours):
                m = rotations[n] * depths[d]
                source = sources[n]
                for r in range(rows + 2 * RADIUS):
                    v = np.float32(top + r - RADIUS)
                    x0 = m[0, 0] * u + m[0, 1] * v + m[0, 2] + offsets[n, 0]
                    y0 = m[1, 0] * u + m[1, 1] * v + m[1, 2] + offsets[n, 1]
                    z0 = m[2, 0] * u + m[2, 1] * v + m[2, 2] + offsets[n, 2]
                    _locate_row(
                        source_width, source_height, x0, y0, z0, m[0, 0], m[1, 0], m[2, 0],
                        index, fraction_x, fraction_y, inside[r],
                    )  # fmt: skip
                    _sample_row(source, stride, index, fraction_x, fraction_y, warped[r])
                sum_w[:] = np.float32(0.0)
                sum_ww[:] = np.float32(0.0)
                sum_wr[:] = np.float32(0.0)
                for r in range(2 * RADIUS):
                    _add_row(warped[r], reference[top + r], one, sum_w, sum_ww, sum_wr)
                for r in range(rows):
                    new = r + 2 * RADIUS
                    _add_row(warped[new], reference[top + new], one, sum_w, sum_ww, sum_wr)
                    _box_row(sum_w, box_w)
                    _box_row(sum_ww, box_ww)
                    _box_row(sum_wr, box_wr)
                    middle = inside[r + RADIUS][RADIUS : RADIUS + width]
                    _cost_row(box_w, box_ww, box_wr, mean[top + r], inverse_std[top + r], middle, cost)
                    _keep_best(cost, best[r])
                    _add_row(warped[r], reference[top + r], -one, sum_w, sum_ww, sum_wr)
            for r in range(rows):
                for j in range(width):
                    total = best[r, 0, j]
                    for k in range(1, keep):
                        total += best[r, k, j]
                    band_costs[d, r * width + j] = np.uint8(np.int32(total * scale + np.float32(0.5)))
        for r in range(rows):
            for j in range(width):
                for d in range(planes):
                    volume[top + r, j, d] = band_costs[d, r * width + j]
