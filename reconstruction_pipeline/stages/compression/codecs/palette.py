"""The palette of SOG's view-dependent colour: weighted k-means over the higher spherical harmonics.

Squared distance between coefficient vectors is, by Parseval, the mean squared colour difference over all
viewing directions, so plain Euclidean k-means in coefficient space minimises what is seen. Full Lloyd
passes over N points and P entries cost N*P*D multiplications, which is why converters without a GPU take
minutes. Here most of the work is done in two levels (coarse groups, then entries inside each group,
sqrt(P) times cheaper), and the last few passes are full ones on BLAS.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float32]

BLOCK_SCORES = 1 << 20  # float32 scores held at once: stays in the cache of a small machine
GROUP_PASSES = 8


def palette_size(count: int) -> int:
    """Entries that are worth their bytes for `count` splats: a power of two, about one in twelve, 64..16384.

    An entry costs about 45 bytes and a label about 1.5, so that more entries than this make the palette
    the largest part of the file for a gain below 0.1 dB (measured on trained degree-3 scenes).
    """
    return int(np.clip(2 ** np.floor(np.log2(max(count, 1) / 12)), 64, 16384))


def kmeans_palette(
    points: Matrix, weights: npt.NDArray[np.floating], size: int, iterations: int, seed: int
) -> tuple[Matrix, npt.NDArray[np.int32]]:
    """Palette (at most `size`, D) and labels (N,) with small sum_i w_i |x_i - palette[label_i]|^2.

    `points` (N, D) float32; `weights` (N,) positive. Deterministic for a seed and thread count.
    """
    size = min(size, len(points))
    rng = np.random.default_rng(seed)
    palette = _two_level_start(points, weights.astype(np.float64), size, rng)
    for _ in range(iterations):
        labels, errors = assign(points, palette)
        palette = _update(points, weights, labels, palette, errors)
    labels, _ = assign(points, palette)
    return palette, labels


def assign(points: Matrix, palette: Matrix) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """Nearest palette entry of every point, and its squared distance; blocked matrix products."""
    labels = np.empty(len(points), np.int32)
    errors = np.empty(len(points), np.float32)
    half_norms = 0.5 * np.einsum("pd,pd->p", palette, palette)
    transposed = np.ascontiguousarray(palette.T)
    rows = max(16, BLOCK_SCORES // max(len(palette), 1))
    scores = np.empty((rows, len(palette)), np.float32)
    for start in range(0, len(points), rows):
        block = points[start : start + rows]
        out = scores[: len(block)]
        np.matmul(block, transposed, out=out)
        out -= half_norms
        best = out.argmax(axis=1)
        labels[start : start + rows] = best
        errors[start : start + rows] = -2.0 * out[np.arange(len(block)), best]
    errors += np.einsum("nd,nd->n", points, points)
    return labels, np.maximum(errors, 0.0)


def _update(
    points: Matrix,
    weights: npt.NDArray[np.floating],
    labels: npt.NDArray[np.int32],
    palette: Matrix,
    errors: npt.NDArray[np.float32],
) -> Matrix:
    """Weighted means of the clusters; an empty entry moves to the point that is served worst."""
    order = np.argsort(labels, kind="stable")
    used, first = np.unique(labels[order], return_index=True)
    mass = np.add.reduceat(weights[order].astype(np.float64), first)
    sums = np.add.reduceat(points[order] * weights[order, None].astype(np.float32), first, axis=0)
    updated = palette.copy()
    updated[used] = sums / mass[:, None]
    empty = np.setdiff1d(np.arange(len(palette)), used)
    if len(empty):
        worst = np.argsort(-(errors * weights), kind="stable")[: len(empty)]
        updated[empty] = points[worst]
    return updated.astype(np.float32)


def _two_level_start(points: Matrix, weights: npt.NDArray[np.float64], size: int, rng: np.random.Generator) -> Matrix:
    """`size` entries from k-means inside coarse groups, each group given entries by its share of the error."""
    groups = max(1, int(np.sqrt(size)) // 2)
    coarse = _lloyd(points, weights, _draw(points, weights, groups, rng), GROUP_PASSES)
    labels, errors = assign(points, coarse)
    counts = np.bincount(labels, minlength=groups)
    distortion = np.bincount(labels, weights=errors * weights, minlength=groups).astype(np.float64)
    entries = _share(distortion, counts, size)
    members = np.split(np.argsort(labels, kind="stable"), np.cumsum(counts)[:-1])
    parts = []
    for member, count in zip(members, entries, strict=True):
        if count:
            inside, mass = points[member], weights[member]
            parts.append(_lloyd(inside, mass, _draw(inside, mass, int(count), rng), GROUP_PASSES))
    return np.concatenate(parts)


def _lloyd(points: Matrix, weights: npt.NDArray[np.float64], palette: Matrix, passes: int) -> Matrix:
    for _ in range(passes):
        labels, errors = assign(points, palette)
        palette = _update(points, weights, labels, palette, errors)
    return palette


def _draw(points: Matrix, weights: npt.NDArray[np.float64], size: int, rng: np.random.Generator) -> Matrix:
    """Distinct points, heavier ones more often (Efraimidis and Spirakis 2006: keys u^(1/w))."""
    keys = np.log(rng.random(len(points))) / weights
    return points[np.sort(np.argpartition(-keys, size - 1)[:size])]


def _share(distortion: npt.NDArray[np.float64], counts: npt.NDArray[np.int64], size: int) -> npt.NDArray[np.int64]:
    """Whole numbers of entries per group: at least one where there are points, at most the points, `size` in all."""
    entries = np.minimum(counts, 1).astype(np.int64)
    while (left := size - int(entries.sum())) > 0:
        open_groups = entries < counts
        # A little of everything keeps the loop going when all that is left has no error.
        want = np.where(open_groups, distortion + 1e-9 * (distortion.sum() + 1.0), 0.0)
        extra = np.minimum(np.floor(want / want.sum() * left).astype(np.int64), counts - entries)
        if not extra.any():
            best = np.argsort(-want, kind="stable")[: min(left, int(open_groups.sum()))]
            extra[best] = 1
        entries += extra
    return entries
