"""View-dependent colour in SOG: a palette of coefficient vectors, and a label per splat.

The format was made for a few thousand vectors that many splats share. But trained coefficients have little in common:
k-means over 45 numbers, whatever the size of its palette, leaves most of their error. The palette may have 65,536
entries, though, and the lossless coder behind it makes bytes small that are mostly the same. So every splat gets an
entry of its own as far as they go, in order, which costs nothing in labels, and its numbers are rounded on a coarse
grid so that error and bits are least together (`kernels.sparse_rounding`): a splat that is hardly seen gets zeros, one
that fills the picture gets all it needs. Only what is left over shares entries by k-means, the least seen first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.artifacts.gaussian_splats import Gaussians
from reconstruction_pipeline.artifacts.ply import SH_COEFFICIENTS
from reconstruction_pipeline.kernels.sparse_rounding import LARGEST, counted_bits, first_bits, sparse_round
from reconstruction_pipeline.stages.compression.codecs.base import WriteOptions
from reconstruction_pipeline.stages.compression.codecs.palette import kmeans_palette
from reconstruction_pipeline.stages.compression.codecs.pricing import ROUNDS, short, step_for
from reconstruction_pipeline.stages.compression.codecs.sensitivity import SH_0
from reconstruction_pipeline.stages.compression.codecs.texture import Bytes, texture
from reconstruction_pipeline.stages.compression.codecs.viewing import Viewing, correction, from_everywhere, from_views

PALETTE_COLUMNS = 64
MAX_PALETTE = 65536  # labels have 16 bits
SHARED = 8192
"""Entries that are shared where there are more splats than entries."""

Matrix = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Shares:
    """Which palette entry (`labels`, (N,)) every splat has, and what the entries stand for: (P, K, 3), weights (P,)."""

    labels: npt.NDArray[np.int32]
    entries: Matrix
    weights: npt.NDArray[np.float64]


def encode_harmonics(
    scene: Gaussians, weights: npt.NDArray[np.float64], degree: int, price: float, options: WriteOptions
) -> tuple[dict[str, Any], dict[str, Bytes], Matrix]:
    """The palette and labels of the coefficients above degree 0, and what the base colours (N, 3) owe to them.

    `weights` (N,) of squared errors of the base coefficients; `price` of a bit in their unit.
    """
    coefficients = SH_COEFFICIENTS[degree] - 1
    exact = scene.sh[:, 1 : 1 + coefficients]
    if options.views:
        viewing = from_views(scene.means, weights, options.views, coefficients)
    else:
        viewing = from_everywhere(scene.count, coefficients)
    shares = _share(exact, weights, viewing, options)
    step, codes = _rounded(shares, viewing.root, price)
    book = (step * np.arange(-LARGEST - 1, LARGEST + 1)).astype(np.float32)
    stored = (step * codes.astype(np.float32))[shares.labels]
    shift = correction(viewing, exact - stored)
    meta = {
        "count": len(codes),
        "bands": degree,
        "codebook": short(book),
        "files": ["shN_centroids.webp", "shN_labels.webp"],
    }
    labels = shares.labels
    split = np.stack([labels & 255, labels >> 8, np.zeros_like(labels)], axis=1).astype(np.uint8)
    opaque = np.full(scene.count, 255, np.uint8)
    indices = (codes.astype(np.int16) + LARGEST + 1).astype(np.uint8)
    pictures = {"shN_centroids.webp": _centroids(indices), "shN_labels.webp": texture(split, opaque)}
    return meta, pictures, shift


def _share(exact: Matrix, weights: npt.NDArray[np.float64], viewing: Viewing, options: WriteOptions) -> Shares:
    """An entry for every splat, or, where the palette is too short, for the most seen; the rest by k-means."""
    size, count = min(options.palette or MAX_PALETTE, MAX_PALETTE), len(exact)
    if count <= size:
        return Shares(np.arange(count, dtype=np.int32), exact, weights)
    shared = min(SHARED, max(size // 2, 1)) if options.palette is None else size
    energy = weights * (_in_metric(exact, viewing.root).astype(np.float64) ** 2).sum(axis=1)
    own = np.sort(np.argsort(-energy, kind="stable")[: size - shared])
    rest = np.setdiff1d(np.arange(count), own)
    points = _in_metric(exact[rest], viewing.root)
    palette, rest_labels, _ = kmeans_palette(points, weights[rest], shared, options.kmeans_iterations, options.seed)
    entries = _in_metric(palette.reshape(len(palette), -1, 3), np.linalg.inv(viewing.root))
    labels = np.empty(count, np.int32)
    labels[own] = np.arange(len(own), dtype=np.int32)
    labels[rest] = len(own) + rest_labels
    mass = np.bincount(rest_labels, weights=weights[rest], minlength=len(palette)) + 1e-6
    return Shares(
        labels,
        np.concatenate([exact[own], entries.reshape(len(palette), -1, 3)]).astype(np.float32),
        np.concatenate([weights[own], mass]),
    )


def _rounded(shares: Shares, root: Matrix, price: float) -> tuple[float, npt.NDArray[np.int8]]:
    """The grid's step, and codes (P, K, 3) of the entries by prices that follow from how often each code occurs."""
    metric = (root @ root.T / SH_0**2).astype(np.float32)
    reach = float(np.percentile(np.abs(shares.entries), 99.99))
    step = max(step_for(shares.weights, price) / np.sqrt(float(np.trace(metric)) / len(metric)), reach / LARGEST, 1e-6)
    bits, codes = first_bits(), np.zeros((0, 0, 0), np.int8)
    for _ in range(ROUNDS):
        codes = sparse_round(shares.entries, shares.weights, metric, step, price, bits)
        bits = counted_bits(codes)
    return step, codes


def _in_metric(coefficients: Matrix, root: Matrix) -> Matrix:
    """Rows (M, K, 3) as (M, 3 K) points whose squared distance is the seen error."""
    return np.ascontiguousarray(np.einsum("nkc,kj->njc", coefficients, root).reshape(len(coefficients), -1), np.float32)


def _centroids(indices: Bytes) -> Bytes:
    """The picture of the palette (P, K, 3): 64 entries a row, a pixel per coefficient."""
    count, coefficients, _ = indices.shape
    rows = -(-count // PALETTE_COLUMNS)
    padded = np.full((rows * PALETTE_COLUMNS, coefficients, 3), LARGEST + 1, np.uint8)
    padded[:count] = indices
    picture = np.full((rows, PALETTE_COLUMNS * coefficients, 4), 255, np.uint8)
    picture[..., :3] = padded.reshape(rows, PALETTE_COLUMNS * coefficients, 3)
    return picture
