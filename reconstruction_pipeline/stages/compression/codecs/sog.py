"""SOG version 2: splats as lossless WebP pictures in a zip (PlayCanvas' format, github.com/playcanvas/splat-transform).

Numbers stay in the world of the PLY (y-down): every reader of the format turns them itself. The writer
rounds where the reference truncates, fits the codebooks and the palette to what is visible, and orders
splats along a Z-curve so that the pictures compress.
"""

from __future__ import annotations

import json
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline import __version__
from reconstruction_pipeline.artifacts.errors import InvalidArtifact
from reconstruction_pipeline.artifacts.gaussian_splats import Gaussians
from reconstruction_pipeline.artifacts.ply import SH_COEFFICIENTS, sh_degree_of
from reconstruction_pipeline.kernels.nearest import nearest
from reconstruction_pipeline.stages.compression.codecs.base import WriteOptions
from reconstruction_pipeline.stages.compression.codecs.codebook import nearest_code, weighted_codebook
from reconstruction_pipeline.stages.compression.codecs.importance import quantisation_weights, sigmoid
from reconstruction_pipeline.stages.compression.codecs.ordering import morton_order
from reconstruction_pipeline.stages.compression.codecs.palette import kmeans_palette, palette_size
from reconstruction_pipeline.stages.compression.codecs.sog_reader import read_sog
from reconstruction_pipeline.stages.compression.codecs.viewing import correction, from_everywhere, from_views

MAX_SIDE = 16383  # WebP's limit
PALETTE_COLUMNS = 64
MAX_PALETTE = 65536  # labels have 16 bits

Bytes = npt.NDArray[np.uint8]


class SogCodec:
    """`.sog`: about a fifteenth of the PLY, read by PlayCanvas, SuperSplat and Spark."""

    name = "SOG v2"
    suffix = ".sog"

    def read(self, path: Path) -> Gaussians:
        """Decode the scene; raises `InvalidArtifact` for anything that is not a whole SOG v2 file."""
        return read_sog(path)

    def write(self, path: Path, gaussians: Gaussians, options: WriteOptions) -> None:
        """Encode the scene; raises `InvalidArtifact` when it is empty, not finite or too large for the format."""
        degree = sh_degree_of(gaussians) if options.sh_degree is None else options.sh_degree
        _check(path, gaussians)
        meta, pictures = encode(gaussians, degree, options)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
            # A fixed date: equal scenes give equal files.
            archive.writestr(zipfile.ZipInfo("meta.json"), json.dumps(meta))
            for name, pixels in pictures.items():
                archive.writestr(zipfile.ZipInfo(name), webp(pixels))


def encode(gaussians: Gaussians, degree: int, options: WriteOptions) -> tuple[dict[str, Any], dict[str, Bytes]]:
    """`meta.json` and the pictures by file name, each (height, width, 4) uint8."""
    means, low, high = _quantise_means(gaussians.means)
    order = morton_order(means)
    scene = gaussians.take(order)
    weights = quantisation_weights(scene)
    sh_meta: dict[str, Any] | None = None
    sh_pictures: dict[str, Bytes] = {}
    colours = scene.sh[:, 0]
    if degree > 0:
        sh_meta, sh_pictures, shift = _encode_harmonics(scene, weights, degree, options)
        colours = colours + shift
    scales_book = weighted_codebook(scene.log_scales.ravel(), np.repeat(weights, 3))
    colour_book = weighted_codebook(colours.ravel(), np.repeat(weights, 3))
    opaque = np.full(scene.count, 255, np.uint8)
    opacity = np.rint(255.0 * sigmoid(scene.opacity_logits)).astype(np.uint8)
    means = means[order]
    pictures = {
        "means_l.webp": texture((means & 255).astype(np.uint8), opaque),
        "means_u.webp": texture((means >> 8).astype(np.uint8), opaque),
        "quats.webp": texture(*quantise_quaternions(scene.quats)),
        "scales.webp": texture(nearest_code(scales_book, scene.log_scales), opaque),
        "sh0.webp": texture(nearest_code(colour_book, colours), opacity),
    }
    meta: dict[str, Any] = {
        "version": 2,
        "asset": {"generator": f"reconstruction_pipeline {__version__}"},
        "count": scene.count,
        "means": {"mins": low, "maxs": high, "files": ["means_l.webp", "means_u.webp"]},
        "scales": {"codebook": scales_book.tolist(), "files": ["scales.webp"]},
        "quats": {"files": ["quats.webp"]},
        "sh0": {"codebook": colour_book.tolist(), "files": ["sh0.webp"]},
    }
    if sh_meta is not None:
        meta["shN"] = sh_meta
        pictures |= sh_pictures
    return meta, pictures


def _quantise_means(means: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.uint16], list[float], list[float]]:
    """16-bit grid of sign(x) log(1 + |x|), rounded, with its bounds per axis."""
    warped = np.sign(means) * np.log1p(np.abs(means.astype(np.float64)))
    low, high = warped.min(axis=0), warped.max(axis=0)
    grid = np.rint((warped - low) * (65535.0 / np.maximum(high - low, 1e-12))).astype(np.uint16)
    return grid, low.tolist(), high.tolist()


def quantise_quaternions(quats: npt.NDArray[np.float32]) -> tuple[Bytes, Bytes]:
    """Smallest three: (N, 3) rounded components without the largest, and (N,) 252 + its index in wxyz."""
    unit = quats / np.maximum(np.linalg.norm(quats, axis=1, keepdims=True), 1e-12)
    largest = np.abs(unit).argmax(axis=1)
    rows = np.arange(len(unit))
    unit = unit * np.where(unit[rows, largest] < 0, -1.0, 1.0)[:, None]
    rest = unit[np.arange(4) != largest[:, None]].reshape(-1, 3)
    coded = np.rint(255.0 * np.clip(rest * np.sqrt(0.5) + 0.5, 0.0, 1.0)).astype(np.uint8)
    return coded, (252 + largest).astype(np.uint8)


def _encode_harmonics(
    scene: Gaussians, weights: npt.NDArray[np.float64], degree: int, options: WriteOptions
) -> tuple[dict[str, Any], dict[str, Bytes], npt.NDArray[np.float32]]:
    """The palette and labels of the coefficients above degree 0, and what the base colours (N, 3) owe to them."""
    coefficients = SH_COEFFICIENTS[degree] - 1
    exact = scene.sh[:, 1 : 1 + coefficients]
    if options.views:
        viewing = from_views(scene.means, weights, options.views, coefficients)
    else:
        viewing = from_everywhere(scene.count, coefficients)
    size = min(options.palette or palette_size(scene.count), MAX_PALETTE)
    points = _in_metric(exact, viewing.root)
    trained, labels = kmeans_palette(points, weights, size, options.kmeans_iterations, options.seed)
    palette = _in_metric(trained.reshape(-1, coefficients, 3), np.linalg.inv(viewing.root))
    mass = np.bincount(labels, weights=weights, minlength=len(palette)) + 1e-6
    book = weighted_codebook(palette.ravel(), np.repeat(mass, palette.shape[1]))
    codes = nearest_code(book, palette)
    # The nearest entry after quantisation need not be the one that was trained.
    stored = book[codes].reshape(-1, coefficients, 3).astype(np.float32)
    labels, _ = nearest(points, _in_metric(stored, viewing.root))
    shift = correction(viewing, exact - stored[labels])
    labels, codes = _sorted_by_use(labels, codes)
    rows = -(-len(codes) // PALETTE_COLUMNS)
    padded = np.zeros((rows * PALETTE_COLUMNS, coefficients, 3), np.uint8)
    padded[: len(codes)] = codes.reshape(-1, coefficients, 3)
    centroids = np.full((rows, PALETTE_COLUMNS * coefficients, 4), 255, np.uint8)
    centroids[..., :3] = padded.reshape(rows, PALETTE_COLUMNS * coefficients, 3)
    split = np.stack([labels & 255, labels >> 8, np.zeros_like(labels)], axis=1).astype(np.uint8)
    meta = {
        "count": len(codes),
        "bands": degree,
        "codebook": book.tolist(),
        "files": ["shN_centroids.webp", "shN_labels.webp"],
    }
    opaque = np.full(scene.count, 255, np.uint8)
    return meta, {"shN_centroids.webp": centroids, "shN_labels.webp": texture(split, opaque)}, shift


def _in_metric(coefficients: npt.NDArray[np.float32], root: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Rows (M, K, 3) as (M, 3 K) points whose squared distance is the seen error."""
    turned = np.einsum("nkc,kj->njc", coefficients, root)
    return np.ascontiguousarray(turned.reshape(len(coefficients), -1), np.float32)


def _sorted_by_use(labels: npt.NDArray[np.int32], codes: Bytes) -> tuple[npt.NDArray[np.int32], Bytes]:
    """Frequent entries first and unused ones gone: labels then have a lower entropy per byte."""
    uses = np.bincount(labels, minlength=len(codes))
    order = np.argsort(-uses, kind="stable")[: int((uses > 0).sum())]
    rank = np.zeros(len(codes), np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    return rank[labels], codes[order]


def texture(rgb: Bytes, alpha: Bytes) -> Bytes:
    """Rows of splats (N, 3) and (N,) as a picture (h, w, 4), row-major; the sides are multiples of 4."""
    width, height = texture_size(len(rgb))
    pixels = np.zeros((height * width, 4), np.uint8)
    # Padding repeats the last splat, which costs a lossless coder nothing.
    pixels[:, :3], pixels[:, 3] = rgb[-1], alpha[-1]
    pixels[: len(rgb), :3], pixels[: len(rgb), 3] = rgb, alpha
    return pixels.reshape(height, width, 4)


def texture_size(count: int) -> tuple[int, int]:
    """(width, height) of the pictures that hold `count` splats."""
    width = 4 * int(np.ceil(np.sqrt(count) / 4))
    return width, 4 * int(np.ceil(count / width / 4))


def webp(pixels: Bytes) -> bytes:
    """A lossless WebP; `exact` keeps colours under alpha 0, which are data here.

    More effort (method 4 to 6) made the pictures no smaller and took up to forty times as long.
    """
    from PIL import Image

    buffer = BytesIO()
    Image.fromarray(pixels, "RGBA").save(buffer, "WEBP", lossless=True, exact=True, method=2, quality=75)
    return buffer.getvalue()


def _check(path: Path, gaussians: Gaussians) -> None:
    if gaussians.count == 0:
        raise InvalidArtifact(f"{path}: the scene has no splats, so there is nothing to write; train it again.")
    if not all(np.isfinite(values).all() for values in vars(gaussians).values()):
        raise InvalidArtifact(f"{path}: the scene has numbers that are not finite; train it again.")
    if max(texture_size(gaussians.count)) > MAX_SIDE:
        raise InvalidArtifact(f"{path}: {gaussians.count} splats are more than one SOG file can hold; reduce them.")
