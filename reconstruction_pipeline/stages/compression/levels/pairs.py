"""Which splats to merge: neighbours, by what the merging would change in pictures, and no splat twice."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.stages.compression.codecs.quantise import blocks
from reconstruction_pipeline.stages.compression.levels.mixture import Floats, Mixture, Rows, pool

NEIGHBOURS = 8
SHAPE = 0.005
"""What a nat of lost shape weighs against a squared difference in colour of 1."""
THIN = 0.1
"""Shapes are compared down to this share of their size: how thin a sheet is shows only at its edge."""
ROUNDS = 60


def neighbours(means: Floats, cells: npt.NDArray[np.int64]) -> tuple[Rows, Rows]:
    """Pairs of rows that are among each other's nearest and in the same cell, each pair once."""
    from scipy.spatial import cKDTree

    count = len(means)
    near = cKDTree(means).query(means, k=min(NEIGHBOURS + 1, count), workers=-1)[1].reshape(count, -1)
    first = np.repeat(np.arange(count), near.shape[1])
    second = near.ravel().astype(np.intp)
    usable = (first != second) & (cells[first] == cells[second])
    low, high = np.minimum(first, second)[usable], np.maximum(first, second)[usable]
    pairs = np.unique(low.astype(np.int64) * count + high)
    return (pairs // count).astype(np.intp), (pairs % count).astype(np.intp)


def costs(mixture: Mixture, first: Rows, second: Rows) -> Floats:
    """(P,) what merging each pair changes: lost shape (Runnalls' bound of the divergence) and lost colour.

    In units of covered area times squared colour: small and transparent splats, and those that look alike, come first.
    """
    weights, result = mixture.weights(), np.empty(len(first))
    sh = mixture.scene.sh.reshape(mixture.count, -1)
    for block in blocks(len(first)):
        a, b = first[block], second[block]
        pooled = pool(mixture.means, mixture.covariances, weights, a, b)
        floor = THIN**2 * (pooled.covariances[:, 0] + pooled.covariances[:, 3] + pooled.covariances[:, 5]) / 3.0
        lost = pooled.weights * _log_volume(pooled.covariances, floor)
        lost -= weights[a] * _log_volume(mixture.covariances[a], floor)
        lost -= weights[b] * _log_volume(mixture.covariances[b], floor)
        # The mean over all directions of a squared sum of orthonormal functions is the sum of squares over 4 pi.
        colour = ((sh[a] - sh[b]) ** 2).sum(axis=1) / (4.0 * np.pi)
        result[block] = SHAPE * lost + pooled.weights * pooled.share * (1.0 - pooled.share) * colour
    return result


def disjoint(first: Rows, second: Rows, cost: Floats, most: int, count: int) -> Rows:
    """Rows of at most `most` pairs, the cheapest first, of `count` splats none of which occurs twice.

    A pair is taken when neither of its splats has a cheaper one left, which gives the same pairs as going through all
    of them by cost (Preis 1999), all at once. Equal costs are ordered by chance, or they would be taken one by one.
    """
    order = np.lexsort((np.random.default_rng(0).random(len(cost)), cost))
    a, b = first[order], second[order]
    left, free, taken = np.arange(len(order)), np.ones(count, bool), []
    for _ in range(ROUNDS):
        if not len(left):
            break
        best = np.full(count, len(order))
        np.minimum.at(best, a[left], left)
        np.minimum.at(best, b[left], left)
        chosen = left[(best[a[left]] == left) & (best[b[left]] == left)]
        taken.append(chosen)
        free[a[chosen]] = free[b[chosen]] = False
        left = left[free[a[left]] & free[b[left]]]
    ranks = np.sort(np.concatenate(taken)) if taken else np.zeros(0, np.intp)
    return order[ranks[:most]]


def _log_volume(covariances: Floats, floor: Floats) -> Floats:
    """Half the logarithm of the determinant of covariances (P, 6) with `floor` (P,) added to their diagonals."""
    xx, xy, xz, yy, yz, zz = covariances.T
    xx, yy, zz = xx + floor, yy + floor, zz + floor
    determinant = xx * (yy * zz - yz * yz) - xy * (xy * zz - yz * xz) + xz * (xy * yz - yy * xz)
    result: Floats = 0.5 * np.log(np.maximum(determinant, 1e-300))
    return result
