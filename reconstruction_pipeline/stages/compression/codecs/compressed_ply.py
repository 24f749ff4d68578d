"""`.compressed.ply`: 16 bytes per splat and a byte per SH coefficient (PlayCanvas; written by SuperSplat).

Splats are grouped by 256 along a Z-curve; each group stores the bounds of its positions, log sizes and base colours
as floats, and its splats are fractions of them: 11, 10 and 11 bits for positions and sizes, 8 for colours and
opacity; rotations are the smallest three of wxyz in 10 bits. Numbers are those of the PLY (y-down).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.artifacts.errors import InvalidArtifact
from reconstruction_pipeline.artifacts.gaussian_splats import Gaussians
from reconstruction_pipeline.artifacts.ply import SH_COEFFICIENTS
from reconstruction_pipeline.artifacts.ply_header import PlyElement, PlyHeader, read_header
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
    field,
    from_smallest_three,
    opacity_byte,
    opacity_logit,
    smallest_three,
    to_bits,
    unit_quaternions,
)

GROUP = 256
FIELDS = ("packed_position", "packed_rotation", "packed_scale", "packed_color")
BOUNDS = tuple(
    f"{end}_{name}"
    for names in (("x", "y", "z"), ("scale_x", "scale_y", "scale_z"), ("r", "g", "b"))
    for end in ("min", "max")
    for name in names
)
LIMIT = 20.0  # of a log size; readers expect no more

Floats = npt.NDArray[np.floating]
Packed = npt.NDArray[np.uint32]


class CompressedPlyCodec:
    """Four times smaller than the PLY and close to it."""

    name = "compressed PLY"
    suffix = ".compressed.ply"

    def read(self, path: Path) -> Gaussians:
        """Decode the scene; raises `InvalidArtifact` for anything else."""
        header = read_header(path)
        try:
            return _decode(path, header)
        except Damaged as error:
            raise InvalidArtifact(f"{path}: not a readable compressed PLY, {error}; make it again.") from error

    def write(self, path: Path, gaussians: Gaussians, options: WriteOptions) -> None:
        """Encode the scene in groups along a Z-curve."""
        require_writable(path, gaussians)
        rest = SH_COEFFICIENTS[degree_to_write(gaussians, options)] - 1
        low, high = gaussians.means.min(axis=0), gaussians.means.max(axis=0)
        grid = to_bits((gaussians.means - low) / np.maximum(high - low, 1e-12), 16)
        order = morton_order(grid)
        # The tables follow each other in the file, so the small ones wait for the end of the first.
        bounds, packed, harmonics = [], [], []
        for block in blocks(gaussians.count):
            scene = gaussians.take(order[block])
            group_bounds, splats = _encode(scene)
            bounds.append(group_bounds)
            packed.append(splats)
            codes = np.clip(np.floor(scene.sh[:, 1 : 1 + rest] * 32.0 + 128.0), 0, 255).astype(np.uint8)
            harmonics.append(codes.transpose(0, 2, 1).reshape(scene.count, 3 * rest))
        with path.open("wb") as file:
            file.write(_header(gaussians.count, 3 * rest))
            for table in (bounds, packed, harmonics):
                file.writelines(part.tobytes() for part in table)


def is_compressed(header: PlyHeader) -> bool:
    """Whether a PLY holds packed splats, whatever its name."""
    vertex = header.element("vertex")
    return vertex is not None and FIELDS[0] in (vertex.dtype.names or ())


def _header(count: int, harmonics: int) -> bytes:
    lines = ["ply", "format binary_little_endian 1.0", f"element chunk {-(-count // GROUP)}"]
    lines += [f"property float {name}" for name in BOUNDS]
    lines += [f"element vertex {count}", *(f"property uint {name}" for name in FIELDS)]
    if harmonics:
        lines += [f"element sh {count}", *(f"property uchar f_rest_{i}" for i in range(harmonics))]
    return ("\n".join([*lines, "end_header"]) + "\n").encode("ascii")


def _encode(scene: Gaussians) -> tuple[npt.NDArray[np.float32], Packed]:
    """Bounds of the groups (G, 18) and packed splats (N, 4)."""
    means, low_means, high_means = _in_groups(scene.means)
    scales, low_scales, high_scales = _in_groups(np.clip(scene.log_scales, -LIMIT, LIMIT))
    colours, low_colours, high_colours = _in_groups((0.5 + SH_0 * scene.sh[:, 0]).astype(np.float32))
    rest, largest = smallest_three(unit_quaternions(scene.quats))
    rotation = largest.astype(np.uint32)
    for column in range(3):
        rotation = (rotation << np.uint32(10)) | to_bits(rest[:, column] * np.sqrt(0.5) + 0.5, 10)
    red, green, blue = (to_bits(colours[:, channel], 8) for channel in range(3))
    colour = (red << np.uint32(24)) | (green << np.uint32(16)) | (blue << np.uint32(8))
    colour |= opacity_byte(scene.opacity_logits).astype(np.uint32)
    bounds = np.concatenate([low_means, high_means, low_scales, high_scales, low_colours, high_colours], axis=1)
    packed = np.stack([_pack_three(means), rotation, _pack_three(scales), colour], axis=1)
    return bounds.astype("<f4"), packed.astype("<u4")


def _in_groups(values: npt.NDArray[np.float32]) -> tuple[Floats, Floats, Floats]:
    """Values (N, 3) as fractions of the bounds of their group, and those bounds (G, 3)."""
    starts = np.arange(0, len(values), GROUP)
    low, high = np.minimum.reduceat(values, starts), np.maximum.reduceat(values, starts)
    group = np.arange(len(values)) // GROUP
    span = np.maximum((high - low).astype(np.float64), 1e-12)
    return (values - low[group].astype(np.float64)) / span[group], low, high


def _pack_three(unit: Floats) -> Packed:
    x, y, z = to_bits(unit[:, 0], 11), to_bits(unit[:, 1], 10), to_bits(unit[:, 2], 11)
    return (x << np.uint32(21)) | (y << np.uint32(11)) | z


def _unpack_three(packed: Packed) -> Floats:
    return np.stack([field(packed, 21, 11), field(packed, 11, 10), field(packed, 0, 11)], axis=1)


def _decode(path: Path, header: PlyHeader) -> Gaussians:
    chunk, vertex, sh = (header.element(name) for name in ("chunk", "vertex", "sh"))
    if chunk is None or vertex is None or header.form != "binary_little_endian":
        raise Damaged("it has no packed splats")
    count = vertex.count
    if count == 0 or chunk.count != -(-count // GROUP):
        raise Damaged(f"{chunk.count} groups of {GROUP} do not hold {count} splats")
    bounds, packed = _columns(path, chunk, BOUNDS[:12], "<f4"), _columns(path, vertex, FIELDS, "<u4")
    group = np.arange(count) // GROUP

    def within(fractions: Floats, low: Floats, high: Floats) -> npt.NDArray[np.float32]:
        return (low[group] * (1.0 - fractions) + high[group] * fractions).astype(np.float32)

    colours: Floats = np.stack([field(packed[:, 3], shift, 8) for shift in (24, 16, 8)], axis=1)
    if "min_r" in (chunk.dtype.names or ()):
        ends = _columns(path, chunk, BOUNDS[12:], "<f4")
        colours = within(colours, ends[:, :3], ends[:, 3:])
    harmonics = np.zeros((count, 16, 3), np.float32)
    harmonics[:, 0] = (colours - 0.5) / SH_0
    if sh is not None:
        codes = _harmonics(path, sh, count)
        harmonics[:, 1 : 1 + codes.shape[1]] = codes
    rest = np.stack([field(packed[:, 1], shift, 10) for shift in (20, 10, 0)], axis=1)
    largest = (packed[:, 1] >> np.uint32(30)).astype(np.intp)
    return Gaussians(
        within(_unpack_three(packed[:, 0]), bounds[:, 0:3], bounds[:, 3:6]),
        within(_unpack_three(packed[:, 2]), bounds[:, 6:9], bounds[:, 9:12]),
        from_smallest_three((rest - 0.5) * np.sqrt(2.0), largest).astype(np.float32),
        opacity_logit(packed[:, 3] & np.uint32(255)),
        harmonics,
    )


def _harmonics(path: Path, element: PlyElement, count: int) -> npt.NDArray[np.float32]:
    """(N, K, 3) of the degrees above 0: the middles of 256 steps over -4..4."""
    fields = len(element.dtype.names or ())
    if element.count != count or fields // 3 + 1 not in SH_COEFFICIENTS.values() or fields % 3:
        raise Damaged(f"{element.count} rows of {fields} coefficients are no whole SH degree of {count} splats")
    codes = _columns(path, element, tuple(f"f_rest_{i}" for i in range(fields)), "u1")
    # The first and the last step stand for the ends of the range, as other readers have it.
    values = np.arange(256, dtype=np.float32) / 32.0 - 4.0 + 1 / 64
    values[0], values[255] = -4.0, 4.0
    return values[codes].reshape(count, 3, fields // 3).transpose(0, 2, 1)


def _columns(path: Path, element: PlyElement, names: tuple[str, ...], kind: str) -> np.ndarray:
    """(rows, columns) of the fields, which must all be of one kind."""
    rows = np.memmap(path, element.dtype, "r", element.offset, (element.count,))
    types = dict(element.dtype.fields or {})
    for name in names:
        if name not in types or types[name][0] != np.dtype(kind):
            raise Damaged(f"'{name}' is missing in it or of another type")
    return np.stack([rows[name] for name in names], axis=1)
