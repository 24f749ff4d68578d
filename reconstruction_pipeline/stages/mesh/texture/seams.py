"""Colours levelled over the seams between charts."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int32]
# How little a correction may change from corner to corner of a chart, against how well seams must match.
SMOOTHNESS = 0.1
RIDGE = 1e-4


def level(colours: Floats, vertex: Ints, corners: Ints) -> Floats:
    """(U, 3) what to add to the colour of each corner so that charts meet in one colour.

    `colours` (U, 3) what the charts' own pictures show there, `vertex` (U,) the vertex of the mesh it stands for,
    `corners` (F, 3) indices into them. The global adjustment of Waechter et al. 2014: least squares over the
    differences at vertices that belong to several charts, with corrections that change slowly inside each.
    """
    from scipy.sparse import coo_array, diags_array
    from scipy.sparse.linalg import cg

    count = len(colours)
    order = np.argsort(vertex, kind="stable")
    first, second = order[:-1], order[1:]
    shared = vertex[first] == vertex[second]
    seam = np.column_stack([first[shared], second[shared]])
    if len(seam) == 0:
        return np.zeros((count, 3))
    edges = np.unique(np.sort(np.stack([corners, np.roll(corners, -1, axis=1)], axis=2).reshape(-1, 2), axis=1), axis=0)
    ends = np.concatenate([seam, edges])
    weight = np.r_[np.ones(len(seam)), np.full(len(edges), SMOOTHNESS)]
    total = np.bincount(ends.ravel(), np.repeat(weight, 2), count) + RIDGE
    off = coo_array((-weight, (ends[:, 0], ends[:, 1])), shape=(count, count))
    matrix = (diags_array(total) + off + off.T).tocsr()
    difference = colours[seam[:, 1]] - colours[seam[:, 0]]
    result = np.zeros((count, 3))
    for k in range(3):
        right = np.bincount(seam[:, 0], difference[:, k], count) - np.bincount(seam[:, 1], difference[:, k], count)
        result[:, k] = cg(matrix, right, rtol=1e-3, maxiter=400, M=diags_array(1 / total))[0]
    return result
