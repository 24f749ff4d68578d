"""The nearest of many vectors for each of many: the inner loop of k-means, fused so that no table of distances exists.

BLAS plus argmax is as fast on idle cores, but its threads spin where cores are shared (tenfold wall time was seen),
and its sums depend on the number of threads.  Here each sum is formed in one order whatever runs beside it.
"""

# mypy: ignore-errors
from __future__ import annotations

import numpy as np
from numba import prange
from numpy.typing import NDArray

from reconstruction_pipeline.kernels.jit import inline, kernel
from reconstruction_pipeline.kernels.simd import full, get, load, select, store

BLOCK = 32  # points a task handles: with a panel of entries they stay in the first-level cache
PANEL = 64  # entries side by side: 4 points x 4 vectors of sums fill the registers
FAR = np.float32(-3e38)

Array = NDArray[np.float32]


def nearest(points: Array, entries: Array) -> tuple[NDArray[np.int32], Array]:
    """For each row of points (N, D) the row of entries (P, D) at the least squared distance, and that distance.

    Returns labels (N,) int32 and distances (N,) float32.  Of equally near entries the one with the lowest index wins
    up to rounding.  D >= 1, P >= 1; P < 2**24.
    """
    count, dims = points.shape
    padded = -(-count // BLOCK) * BLOCK
    rows = np.zeros((padded, dims), np.float32)
    rows[:count] = points
    panels = -(-len(entries) // PANEL)
    table = np.zeros((panels * PANEL, dims), np.float32)
    table[: len(entries)] = entries
    offsets = np.full(panels * PANEL, FAR, np.float32)
    offsets[: len(entries)] = -0.5 * np.einsum("pd,pd->p", entries, entries)
    packed = np.ascontiguousarray(table.reshape(panels, PANEL, dims).transpose(0, 2, 1))
    labels, scores = np.empty(padded, np.int32), np.empty(padded, np.float32)
    _search(rows.reshape(-1), packed.reshape(-1), offsets, dims, labels, scores)
    distances = np.einsum("nd,nd->n", points, points) - 2.0 * scores[:count]
    return labels[:count], np.maximum(distances, np.float32(0.0))


@kernel(parallel=True)
def _search(points, panels, offsets, dims, labels, scores):
    """Largest x.e - |e|^2/2 over the entries e, which is the nearest e, for all points x."""
    for block in prange(len(labels) // BLOCK):
        best, where = np.full(BLOCK * 16, FAR, np.float32), np.zeros(BLOCK * 16, np.float32)
        for panel in range(len(offsets) // PANEL):
            for row in range(0, BLOCK, 4):
                _four_points(points, panels, offsets, dims, block * BLOCK + row, row, panel, best, where)
        for row in range(BLOCK):
            top, label = FAR, 0
            for lane in range(16):
                value, entry = best[row * 16 + lane], int(where[row * 16 + lane]) * 16 + lane
                if value > top or (value == top and entry < label):
                    top, label = value, entry
            labels[block * BLOCK + row], scores[block * BLOCK + row] = label, top


@inline
def _four_points(points, panels, offsets, dims, point, row, panel, best, where):
    """Scores of 4 points with the 64 entries of a panel, folded into their running best."""
    at, entry = panel * dims * PANEL, panel * PANEL
    a0 = b0 = c0 = d0 = load(offsets, entry)
    a1 = b1 = c1 = d1 = load(offsets, entry + 16)
    a2 = b2 = c2 = d2 = load(offsets, entry + 32)
    a3 = b3 = c3 = d3 = load(offsets, entry + 48)
    for k in range(dims):
        e0, e1, e2, e3 = load(panels, at), load(panels, at + 16), load(panels, at + 32), load(panels, at + 48)
        at += PANEL
        x = full(get(points, point * dims + k))
        a0, a1, a2, a3 = a0 + e0 * x, a1 + e1 * x, a2 + e2 * x, a3 + e3 * x
        x = full(get(points, (point + 1) * dims + k))
        b0, b1, b2, b3 = b0 + e0 * x, b1 + e1 * x, b2 + e2 * x, b3 + e3 * x
        x = full(get(points, (point + 2) * dims + k))
        c0, c1, c2, c3 = c0 + e0 * x, c1 + e1 * x, c2 + e2 * x, c3 + e3 * x
        x = full(get(points, (point + 3) * dims + k))
        d0, d1, d2, d3 = d0 + e0 * x, d1 + e1 * x, d2 + e2 * x, d3 + e3 * x
    first = 4 * panel
    _fold(best, where, row * 16, first, a0, a1, a2, a3)
    _fold(best, where, row * 16 + 16, first, b0, b1, b2, b3)
    _fold(best, where, row * 16 + 32, first, c0, c1, c2, c3)
    _fold(best, where, row * 16 + 48, first, d0, d1, d2, d3)


@inline
def _fold(best, where, at, first, s0, s1, s2, s3):
    top, place = load(best, at), load(where, at)
    better = s0 > top
    top, place = select(better, s0, top), select(better, full(first), place)
    better = s1 > top
    top, place = select(better, s1, top), select(better, full(first + 1), place)
    better = s2 > top
    top, place = select(better, s2, top), select(better, full(first + 2), place)
    better = s3 > top
    store(best, at, select(better, s3, top))
    store(where, at, select(better, full(first + 3), place))
