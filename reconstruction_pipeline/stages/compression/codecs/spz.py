"""SPZ: a few tens of bytes per splat in plain columns (Niantic, github.com/nianticlabs/spz).

Positions in 24-bit fixed point, the rest in bytes: log sizes in steps of 1/16, base colour in steps of 0.026, SH in
steps of 1/128 or a multiple that the writer chooses. The format's own library takes 8 and 16 (5 and 4 bits) and
rounds halves up, which cost trained scenes 2 and 5 dB at held-out views; 2 and 4, rounded evenly, cost 0.1 dB, and
the file is half as large again. What rounding changes on average over the captured views goes into the base colour.

Numbers are those of the PLY (y-down), as splat-transform, gaussforge and gsply store them; Niantic's own tools write
y-up, and nothing in the file says so.
"""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.artifacts.errors import InvalidArtifact, UsageError
from reconstruction_pipeline.artifacts.gaussian_splats import Gaussians
from reconstruction_pipeline.artifacts.ply import SH_COEFFICIENTS
from reconstruction_pipeline.stages.compression.codecs.base import (
    Damaged,
    WriteOptions,
    degree_to_write,
    require_writable,
)
from reconstruction_pipeline.stages.compression.codecs.ordering import morton_order
from reconstruction_pipeline.stages.compression.codecs.quantise import (
    SH_0,
    blocks,
    from_smallest_three,
    opacity_byte,
    opacity_logit,
    smallest_three,
    to_bits,
    unit_quaternions,
)
from reconstruction_pipeline.stages.compression.codecs.spz_container import (
    VERSIONS,
    Packed,
    array_sizes,
    pack,
    unpack,
)
from reconstruction_pipeline.stages.compression.codecs.viewing import from_views

COLOUR = 0.15
"""Base coefficients times this are 0..1 around a half: they may leave the range of colours, and SH bring them back."""
FINEST = 0.05
"""Positions are off by at most this share of the smaller splats' size, where 24 bits allow."""
MOST_BITS = 20
MOST_VIEWS = 10
"""So many of the captured views are enough for a mean."""
STEPS = (2, 4)
"""Of SH coefficients, in 1/128: of degree 1, and above."""
XYZW, WXYZ = [1, 2, 3, 0], [3, 0, 1, 2]

Bytes = npt.NDArray[np.uint8]


class SpzCodec:
    """About eight times smaller than the PLY; read by most web viewers."""

    name = "SPZ"
    suffix = ".spz"

    def read(self, path: Path) -> Gaussians:
        """Decode versions 2, 3 and 4; raises `InvalidArtifact` for anything else."""
        try:
            return _decode(unpack(path))
        except Damaged as error:
            reason = str(error)
        except (zlib.error, OSError) as error:
            reason = f"it cannot be unpacked ({error})"
        except Exception as error:
            # zstandard is only imported for version 4, so its error cannot be named above.
            if type(error).__name__ != "ZstdError":
                raise
            reason = f"it cannot be unpacked ({error})"
        raise InvalidArtifact(f"{path}: not a readable SPZ file, {reason}; make it again.")

    def write(self, path: Path, gaussians: Gaussians, options: WriteOptions) -> None:
        """Encode along a Z-curve, which helps the packing; raises `InvalidArtifact` for positions beyond 24 bits."""
        require_writable(path, gaussians)
        if options.spz_version not in VERSIONS:
            raise UsageError(f"{path}: SPZ version {options.spz_version} is unknown; give 2, 3 or 4.")
        version, degree = options.spz_version, degree_to_write(gaussians, options)
        bits = fraction_bits(gaussians)
        if bits < 0:
            raise InvalidArtifact(f"{path}: the scene is too far from its origin for SPZ; crop it.")
        low, high = gaussians.means.min(axis=0), gaussians.means.max(axis=0)
        seen = _mean_harmonics(gaussians, SH_COEFFICIENTS[degree] - 1, options)
        order = morton_order(to_bits((gaussians.means - low) / np.maximum(high - low, 1e-12), 16))
        # Filled block by block: the columns are a quarter of the scene, and no second copy of it is made.
        columns = [np.empty((gaussians.count, size), np.uint8) for size in array_sizes(version, degree)]
        for block in blocks(gaussians.count):
            parts = _encode(gaussians.take(order[block]), version, seen[order[block]], bits)
            for column, part in zip(columns, parts, strict=True):
                column[block] = part
        pack(path, Packed(version, gaussians.count, degree, bits, tuple(column.tobytes() for column in columns)))


def fraction_bits(gaussians: Gaussians) -> int:
    """Bits behind the point: as many as the smaller splats need, at most what the largest coordinate leaves of 24."""
    reach = float(np.abs(gaussians.means).max())
    room = MOST_BITS if reach == 0 else int(np.floor(np.log2((2**23 - 1) / reach)))
    # The middle size: the smallest is the thickness of flat splats, which does not blur where they are.
    size = float(np.exp(np.percentile(np.median(gaussians.log_scales, axis=1), 5.0)))
    needed = int(np.ceil(np.log2(0.5 / (FINEST * max(size, 1e-9)))))
    return min(room, int(np.clip(needed, 8, MOST_BITS)))


def _mean_harmonics(gaussians: Gaussians, coefficients: int, options: WriteOptions) -> npt.NDArray[np.float32]:
    """(N, K) the mean SH basis (degrees above 0) over the captured views of each splat; zero where none are known."""
    if not options.views or not coefficients:
        return np.zeros((gaussians.count, coefficients), np.float32)
    views = options.views[:: -(-len(options.views) // MOST_VIEWS)]
    return from_views(gaussians.means, np.ones(gaussians.count), views, coefficients).mean


def _encode(scene: Gaussians, version: int, seen: npt.NDArray[np.float32], bits: int) -> list[Bytes]:
    """The columns of a version; `seen` (N, K) is the mean basis, as many coefficients as are written."""
    n, coefficients = seen.shape
    fixed = np.rint(scene.means.astype(np.float64) * 2.0**bits).astype("<i4")
    positions = np.ascontiguousarray(fixed).view(np.uint8).reshape(n, 3, 4)[:, :, :3].reshape(n, 9)
    rest = scene.sh[:, 1 : 1 + coefficients]
    steps = np.where(np.arange(coefficients) < 3, *STEPS)[:, None]
    harmonics = _byte(np.rint(rest * 128.0 / steps) * steps + 128.0)
    lost = rest - (harmonics.astype(np.float32) - 128.0) / 128.0
    base = scene.sh[:, 0] + np.einsum("nk,nkc->nc", seen, lost) / SH_0
    return [
        positions,
        opacity_byte(scene.opacity_logits)[:, None],
        _byte(base * (COLOUR * 255.0) + 127.5),
        _byte((scene.log_scales + 10.0) * 16.0),
        _rotations(scene.quats, version),
        harmonics.reshape(n, -1),
    ]


def _rotations(quats: npt.NDArray[np.float32], version: int) -> Bytes:
    """xyz with w >= 0 in three bytes (version 2), or the smallest three of xyzw in four."""
    unit = unit_quaternions(quats)[:, XYZW]
    if version == 2:
        unit *= np.where(unit[:, 3:] < 0, -1.0, 1.0)
        return _byte(unit[:, :3] * 127.5 + 127.5)
    rest, largest = smallest_three(unit)
    packed = largest.astype(np.uint32)
    for column in range(3):
        sign = (rest[:, column] < 0).astype(np.uint32)
        packed = (packed << np.uint32(10)) | (sign << np.uint32(9)) | to_bits(np.abs(rest[:, column]) * np.sqrt(2.0), 9)
    return packed.astype("<u4").view(np.uint8).reshape(-1, 4)


def _decode(packed: Packed) -> Gaussians:
    n = packed.count
    positions, opacities, colours, sizes, rotations, harmonics = (
        np.frombuffer(array, np.uint8).reshape(n, -1) for array in packed.arrays
    )
    sh = np.zeros((n, 16, 3), np.float32)
    sh[:, 0] = (colours / 255.0 - 0.5) / COLOUR
    if harmonics.size:
        sh[:, 1 : SH_COEFFICIENTS[packed.degree]] = (harmonics.reshape(n, -1, 3).astype(np.float32) - 128.0) / 128.0
    # Into the upper three bytes of an integer, and down again, which brings the sign along.
    wide = np.zeros((n, 3, 4), np.uint8)
    wide[:, :, 1:] = positions.reshape(n, 3, 3)
    fixed = wide.view("<i4")[:, :, 0] >> 8
    return Gaussians(
        (fixed * 2.0**-packed.fraction_bits).astype(np.float32),
        (sizes / 16.0 - 10.0).astype(np.float32),
        _quaternions(rotations, packed.version).astype(np.float32),
        opacity_logit(opacities[:, 0]),
        sh,
    )


def _quaternions(rotations: Bytes, version: int) -> npt.NDArray[np.float64]:
    """(N, 4) wxyz."""
    if version == 2:
        rest = rotations / 127.5 - 1.0
        return from_smallest_three(rest, np.full(len(rest), 3))[:, WXYZ]
    packed = np.ascontiguousarray(rotations).view("<u4")[:, 0]
    rest = np.empty((len(packed), 3))
    for column, shift in enumerate((20, 10, 0)):
        part = packed >> np.uint32(shift)
        sign = np.where(part & np.uint32(512), -1.0, 1.0)
        rest[:, column] = sign * (part & np.uint32(511)) / 511.0 * np.sqrt(0.5)
    return from_smallest_three(rest, (packed >> np.uint32(30)).astype(np.intp))[:, WXYZ]


def _byte(values: npt.NDArray[np.floating]) -> Bytes:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
