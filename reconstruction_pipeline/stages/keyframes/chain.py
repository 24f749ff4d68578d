"""The best chain of frames along a path: sharp ones, evenly spaced, never out of reach of each other."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]

# In windows: two frames closer than this are near duplicates.
LEAST_GAP = 0.4
# Of a window: the grid on which only the sharpest frame competes.
GRID = 0.1
# What a frame costs for each part of sharpness it lacks, where being half a window out of place costs 0.25 a side.
SOFTNESS_COST = 6.0
# More than all the even spacing it could bring: a soft frame is taken for reach alone.
SOFT_COST = 6.0
# Per link length by which a gap is too long.
REACH_COST = 40.0
# Per window with sharp frames before the first frame or behind the last, so that a soft stretch does not cut off what
# lies beyond it; a soft beginning or end is no loss.
LEFT_OUT_COST = 40.0


def best_chain(position: Array, reach: Array, lack: Array, soft: npt.NDArray[np.bool_]) -> Index:
    """Rows of the frames of least cost, ascending.

    `position` (N,), not descending, in windows: one frame for each is wanted. `reach` (N,), likewise, in
    longest links: gaps beyond 1 are to be bridged, by soft frames if need be. `lack` (N,): 1 minus the relative
    sharpness. Shortest path over frames, as in dynamic time warping; ties go to the earlier frame.
    """
    rows = _sharpest_of_cells(position, lack)
    at, far = position[rows], reach[rows]
    worth = np.cumsum(np.diff(position, prepend=position[0]) * ~soft)
    head = LEFT_OUT_COST * np.maximum(worth[rows] - 0.5, 0.0)
    tail = LEFT_OUT_COST * np.maximum(worth[-1] - worth[rows] - 0.5, 0.0)
    node = SOFTNESS_COST * lack[rows] + SOFT_COST * soft[rows]
    cost, before = head.copy(), np.full(len(rows), -1)
    for i in range(len(rows)):
        near = int(np.searchsorted(at, at[i] - LEAST_GAP, side="right"))
        if near:
            gap = at[i] - at[:near]
            step = np.where(gap < 2, (gap - 1) ** 2, gap - 1)
            total = cost[:near] + step + REACH_COST * np.maximum(far[i] - far[:near] - 1.0, 0.0)
            best = int(np.argmin(total))
            if total[best] < cost[i]:
                cost[i], before[i] = total[best], best
        cost[i] += node[i]
    row = int(np.argmin(cost + tail))
    chain = []
    while row >= 0:
        chain.append(rows[row])
        row = int(before[row])
    return np.array(chain[::-1], np.int64)


def _sharpest_of_cells(position: Array, lack: Array) -> Index:
    cell = np.floor((position - position[0]) / GRID).astype(np.int64)
    order = np.lexsort((np.arange(len(cell)), lack, cell))
    first = np.r_[True, np.diff(cell[order]) > 0]
    return np.sort(order[first])
