"""The palette of SOG's view-dependent colour: weighted k-means over the higher spherical harmonics.

Squared distance between coefficient vectors is, by Parseval, the mean squared colour difference over all
viewing directions, so plain Euclidean k-means in coefficient space minimises what is seen. Weights matter
more than anything else here: unweighted, the loss in PSNR doubles at equal size.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.kernels.nearest import nearest

Matrix = npt.NDArray[np.float32]
START_POINTS = 16
"""The first half of the passes sees so many points per entry only; the rest of them cannot change much yet."""


def palette_size(count: int) -> int:
    """Entries that are worth their bytes for `count` splats: one in eight, a multiple of 64, 64..16384.

    Twice as many entries make the file about a quarter larger and halve the loss, which at this size is
    already some hundredths of a dB (57k trained splats of degree 3: 0.03 dB at 17 times smaller).
    """
    return int(np.clip(64 * round(count / 8 / 64), 64, 16384))


def kmeans_palette(
    points: Matrix, weights: npt.NDArray[np.floating], size: int, iterations: int, seed: int
) -> tuple[Matrix, npt.NDArray[np.int32], Matrix]:
    """Palette (at most `size`, D), labels (N,) and squared distances (N,) with a small weighted sum of the last.

    `points` (N, D) float32; `weights` (N,) positive. Lloyd's algorithm from a weighted draw of points, its first
    passes over a weighted draw of the points; deterministic for a seed.
    """
    rng = np.random.default_rng(seed)
    size = min(size, len(points))
    order = _heavy_first(weights, rng)
    some = np.sort(order[: START_POINTS * size])
    palette = points[np.sort(order[:size])].copy()
    for done in range(iterations):
        chosen = some if done < iterations // 2 else slice(None)
        rows, mass = points[chosen], weights[chosen]
        labels, errors = nearest(rows, palette)
        palette = _update(rows, mass, labels, palette, errors)
    labels, errors = nearest(points, palette)
    return palette, labels, errors


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


def _heavy_first(weights: npt.NDArray[np.floating], rng: np.random.Generator) -> npt.NDArray[np.intp]:
    """A random order in which heavier points tend to be earlier (Efraimidis and Spirakis 2006: keys u^(1/w))."""
    keys = np.log(1.0 - rng.random(len(weights))) / weights
    return np.argsort(-keys, kind="stable")
