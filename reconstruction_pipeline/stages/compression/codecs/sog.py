"""SOG version 2: splats as lossless WebP pictures in a zip (PlayCanvas' format, github.com/playcanvas/splat-transform).

Numbers stay in the world of the PLY (y-down): every reader of the format turns them itself. The writer
rounds where the reference truncates, chooses among equal rotations, fits the codebooks and the palette to
what the pictures show of each splat, and orders splats along a Z-curve so that the pictures compress.
"""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline import __version__
from reconstruction_pipeline.artifacts.errors import InvalidArtifact
from reconstruction_pipeline.artifacts.gaussian_splats import Gaussians
from reconstruction_pipeline.artifacts.ply import sh_degree_of
from reconstruction_pipeline.kernels.cheapest import cheapest_codes, cheapest_rotations
from reconstruction_pipeline.stages.compression.codecs.base import WriteOptions
from reconstruction_pipeline.stages.compression.codecs.importance import sigmoid
from reconstruction_pipeline.stages.compression.codecs.ordering import morton_order
from reconstruction_pipeline.stages.compression.codecs.pricing import (
    ROUNDS,
    bits_of,
    default_price,
    priced_codes,
    short,
)
from reconstruction_pipeline.stages.compression.codecs.rotations import cube_rotations
from reconstruction_pipeline.stages.compression.codecs.sensitivity import Sensitivity, sensitivity_of
from reconstruction_pipeline.stages.compression.codecs.sog_harmonics import encode_harmonics
from reconstruction_pipeline.stages.compression.codecs.sog_reader import read_sog
from reconstruction_pipeline.stages.compression.codecs.texture import Bytes, texture, texture_size, webp

MAX_SIDE = 16383  # WebP's limit
TAGS = 252
"""Alpha of the picture of rotations: this plus the index (wxyz) of the component that is left out."""

ROTATION_PRICE = 3.0
"""Dearer bits: the best of 24 rotations errs less than its weight expects of one. Measured on two trained scenes."""
BLIND = 4.0
"""Dearer bits where no cameras are known: the weights then hold for what is hidden, too."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Whole:
    """What a part of a scene must know of all of it: its number of splats, and what is `seen` of those in the part."""

    count: int
    seen: Sensitivity


class SogCodec:
    """`.sog`: about a twentieth of the PLY, read by PlayCanvas, SuperSplat and Spark."""

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


def encode(
    gaussians: Gaussians, degree: int, options: WriteOptions, part_of: Whole | None = None
) -> tuple[dict[str, Any], dict[str, Bytes]]:
    """`meta.json` and the pictures by file name, each (height, width, 4) uint8.

    Splats are put in the order that compresses best; a part of a larger scene keeps its order.
    """
    grid, low, size = _warped_grid(gaussians.means)
    order = morton_order(np.rint(grid).astype(np.uint16)) if part_of is None else np.arange(gaussians.count)
    scene, grid = _unit(gaussians.take(order)), grid[order]
    whole = part_of or Whole(scene.count, sensitivity_of(scene, options.views, options.seed))
    price = (options.price or default_price(whole.count)) * (1.0 if options.views else BLIND)
    seen = whole.seen
    sh_meta: dict[str, Any] | None = None
    sh_pictures: dict[str, Bytes] = {}
    colours = scene.sh[:, 0]
    if degree > 0:
        sh_meta, sh_pictures, shift = encode_harmonics(scene, seen.colours, degree, price, options)
        colours = colours + shift
    # A step of the grid in world units: the derivative of expm1 is exp.
    steps = size / 65535.0 * (1.0 + np.abs(scene.means.astype(np.float64)))
    low_bytes, high_bytes = _split(grid, seen.means * steps**2, price)
    rotations, orders = _rotations(scene, seen.rotations, ROTATION_PRICE * price)
    log_scales = np.take_along_axis(scene.log_scales, orders, axis=1)
    scales_book, scales = priced_codes(log_scales, np.take_along_axis(seen.log_scales, orders, axis=1), price)
    colour_book, base = priced_codes(colours, np.repeat(seen.colours[:, None], 3, axis=1), price)
    opaque = np.full(scene.count, 255, np.uint8)
    opacity = _opacities(scene, seen.opacities, price)
    pictures = {
        "means_l.webp": texture(low_bytes, opaque),
        "means_u.webp": texture(high_bytes, opaque),
        "quats.webp": texture(rotations[:, :3], (TAGS + rotations[:, 3]).astype(np.uint8)),
        "scales.webp": texture(scales, opaque),
        "sh0.webp": texture(base, opacity),
    }
    meta: dict[str, Any] = {
        "version": 2,
        "asset": {"generator": f"reconstruction_pipeline {__version__}"},
        "count": scene.count,
        "means": {"mins": low.tolist(), "maxs": (low + size).tolist(), "files": ["means_l.webp", "means_u.webp"]},
        "scales": {"codebook": short(scales_book), "files": ["scales.webp"]},
        "quats": {"files": ["quats.webp"]},
        "sh0": {"codebook": short(colour_book), "files": ["sh0.webp"]},
    }
    if sh_meta is not None:
        meta["shN"] = sh_meta
        pictures |= sh_pictures
    return meta, pictures


def _unit(scene: Gaussians) -> Gaussians:
    """With quaternions of length 1."""
    lengths = np.maximum(np.linalg.norm(scene.quats, axis=1, keepdims=True), 1e-12)
    quats = (scene.quats / lengths).astype(np.float32)
    return Gaussians(scene.means, scene.log_scales, quats, scene.opacity_logits, scene.sh)


def _warped_grid(means: npt.NDArray[np.float32]) -> tuple[Floats, Floats, Floats]:
    """sign(x) log(1 + |x|) on a grid 0..65535 (N, 3), not rounded, with its lower bound and its size per axis."""
    warped = np.sign(means) * np.log1p(np.abs(means.astype(np.float64)))
    low = warped.min(axis=0)
    size = np.maximum(warped.max(axis=0) - low, 1e-12)
    return (warped - low) * (65535.0 / size), low, size


def _split(grid: Floats, weights: Floats, price: float) -> tuple[Bytes, Bytes]:
    """Low and high bytes (N, 3) of positions; `weights` (N, 3) of squared steps of the grid."""
    high = np.rint(grid).astype(np.int64) >> 8
    rest = grid - 256.0 * high
    low = np.zeros(grid.shape, np.uint8)
    book = np.arange(256.0)
    for axis in range(3):
        bits = np.zeros(256, np.float32)
        for _ in range(ROUNDS):
            low[:, axis] = cheapest_codes(rest[:, axis], weights[:, axis], book, bits, price)
            bits = bits_of(low[:, axis])
    return low, high.astype(np.uint8)


def _rotations(scene: Gaussians, weights: Floats, price: float) -> tuple[Bytes, npt.NDArray[np.int64]]:
    """Smallest three and index (N, 4) of the best of 24 equal rotations, and the order of sizes (N, 3) it asks for."""
    turns, orders = cube_rotations()
    bits = np.zeros((4, 256), np.float32)
    for _ in range(ROUNDS):
        codes, taken = cheapest_rotations(scene.quats, weights, turns, orders, bits, price)
        bits = np.stack([bits_of(codes[:, slot]) for slot in range(4)])
    return codes, orders[taken]


def _opacities(scene: Gaussians, weights: Floats, price: float) -> Bytes:
    """(N,) opacities in 255ths."""
    values, bits = sigmoid(scene.opacity_logits), np.zeros(256, np.float32)
    for _ in range(ROUNDS):
        codes = cheapest_codes(values, weights, np.arange(256.0) / 255.0, bits, price)
        bits = bits_of(codes)
    return codes


def _check(path: Path, gaussians: Gaussians) -> None:
    if gaussians.count == 0:
        raise InvalidArtifact(f"{path}: the scene has no splats, so there is nothing to write; train it again.")
    if not all(np.isfinite(values).all() for values in vars(gaussians).values()):
        raise InvalidArtifact(f"{path}: the scene has numbers that are not finite; train it again.")
    if max(texture_size(gaussians.count)) > MAX_SIDE:
        raise InvalidArtifact(f"{path}: {gaussians.count} splats are more than one SOG file can hold; reduce them.")
