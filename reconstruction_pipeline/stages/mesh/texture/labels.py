"""One view for each face: a good one, and the neighbours' where that costs little."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

Ints = npt.NDArray[np.int32]

_SETTINGS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "cache": True}
# What a change of view along an edge costs; a view that shows the face half as large as the best costs a half.
SEAM_COSTS = (0.1, 0.2, 0.4, 0.6, 0.8)
SWEEPS = 4
# Charts of fewer faces join a neighbour that can show them.
SMALL = 12


def neighbours_of(faces: Ints) -> Ints:
    """(F, 3) the face across edge k (corner k to k+1), -1 where there is none or several."""
    ends = np.stack([faces, np.roll(faces, -1, axis=1)], axis=2).reshape(-1, 2).astype(np.int64)
    key = ends.min(axis=1) << 32 | ends.max(axis=1)
    order = np.argsort(key, kind="stable")
    ordered = key[order]
    start = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    count = np.diff(np.r_[start, len(ordered)])
    pairs = start[count == 2]
    across = np.full(len(key), -1, np.int64)
    across[order[pairs]], across[order[pairs + 1]] = order[pairs + 1] // 3, order[pairs] // 3
    return across.reshape(-1, 3).astype(np.int32)


def choose_views(score: npt.NDArray[np.float32], neighbours: Ints) -> Ints:
    """(F,) the view of each face, -1 where none shows it.

    Starts from the best view of each face and lowers score loss plus seam cost by passing views on to neighbours
    (iterated conditional modes; Besag, "On the statistical analysis of dirty pictures", 1986), with the cost of seams
    rising so that charts grow from their best parts.
    """
    best = score.max(axis=1)
    label = np.where(best > 0, score.argmax(axis=1), -1).astype(np.int32)
    for cost in SEAM_COSTS:
        for _ in range(SWEEPS):
            if _sweep(score, best, neighbours, label, cost) == 0:
                break
    for _ in range(3):
        _absorb(score, neighbours, label, charts_of(label, neighbours), SMALL)
    return label


def charts_of(label: Ints, neighbours: Ints) -> Ints:
    """(F,) number of the connected part of one label that a face belongs to, from 0 in order of first face."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    face = np.repeat(np.arange(len(label)), 3)
    across = neighbours.ravel()
    same = (across >= 0) & (label[face] == label[np.maximum(across, 0)])
    graph = coo_array((np.ones(same.sum(), np.int8), (face[same], across[same])), shape=(len(label), len(label)))
    chart: Ints = connected_components(graph, directed=False)[1].astype(np.int32)
    return chart


@njit(**_SETTINGS)
def _sweep(score, best, neighbours, label, cost):  # type: ignore[no-untyped-def]
    changed = 0
    for f in range(len(label)):
        if label[f] < 0:
            continue
        lowest, chosen = np.inf, label[f]
        for candidate in range(-1, 3):
            view = label[f]
            if candidate >= 0:
                if neighbours[f, candidate] < 0:
                    continue
                view = label[neighbours[f, candidate]]
                if view < 0 or score[f, view] <= 0:
                    continue
            price = 1.0 - score[f, view] / best[f]
            for k in range(3):
                if neighbours[f, k] >= 0 and label[neighbours[f, k]] != view:
                    price += cost
            if price < lowest - 1e-9:
                lowest, chosen = price, view
        if chosen != label[f]:
            label[f] = chosen
            changed += 1
    return changed


@njit(**_SETTINGS)
def _absorb(score, neighbours, label, chart, small):  # type: ignore[no-untyped-def]
    size = np.bincount(chart)
    for f in range(len(label)):
        if label[f] < 0 or size[chart[f]] >= small:
            continue
        largest = size[chart[f]]
        for k in range(3):
            other = neighbours[f, k]
            if other < 0 or label[other] < 0 or size[chart[other]] <= largest or score[f, label[other]] <= 0:
                continue
            label[f], largest = label[other], size[chart[other]]
