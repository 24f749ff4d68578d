"""`.ksplat`: the format of mkkellogg's GaussianSplats3D, read only, as its viewer is no longer developed.

A header of 4096 bytes, one of 1024 for each section, then the sections. Compression level 0 holds float32; in 1 and 2
centres are 16-bit offsets from the middle of their bucket, sizes and rotations float16, and view-dependent colour is
float16 or bytes between two bounds. Sizes are linear, rotations wxyz, numbers those of the PLY (y-down).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.artifacts.errors import InvalidArtifact, UsageError
from reconstruction_pipeline.artifacts.gaussian_splats import Gaussians
from reconstruction_pipeline.stages.compression.codecs.base import Damaged, WriteOptions
from reconstruction_pipeline.stages.compression.codecs.quantise import SH_0, opacity_logit, unit_quaternions

HEADER, SECTION_HEADER = 4096, 1024
TYPES = {0: ("<f4", "<f4", "<f4"), 1: ("<u2", "<f2", "<f2"), 2: ("<u2", "<f2", "u1")}
"""By compression level: of centres, of sizes and rotations, of view-dependent colour."""
MIDDLE = 32767
"""Of 16-bit offsets, where the section does not say another."""
BANDS = {0: (), 1: (3,), 2: (3, 5), 3: (3, 5, 7)}
SMALLEST = 1e-30  # of a size, whose logarithm is taken


@dataclass(frozen=True)
class _Section:
    """Header of a section, in the order of the file."""

    count: int
    most: int
    capacity: int
    buckets: int
    block: float
    bucket_bytes: int
    middle: int
    full: int
    partial: int
    degree: int

    @classmethod
    def at(cls, data: npt.NDArray[np.uint8], offset: int) -> _Section:
        """Unpack the fields that matter."""
        fields = struct.unpack_from("<4IfH2xI4x2IH", data.data, offset)
        return cls(*fields)


class KsplatCodec:
    """Read only."""

    name = "ksplat"
    suffix = ".ksplat"

    def read(self, path: Path) -> Gaussians:
        """Read all sections; raises `InvalidArtifact` when they do not fit the file."""
        try:
            if path.stat().st_size < HEADER:
                raise Damaged("it ends within its header")
            return _decode(np.memmap(path, np.uint8, "r"))
        except Damaged as error:
            raise InvalidArtifact(f"{path}: not a readable .ksplat file, {error}; make it again.") from None

    def write(self, path: Path, gaussians: Gaussians, options: WriteOptions) -> None:
        """Refused with `UsageError`."""
        raise UsageError(f"{path}: .ksplat is only read, as its viewer is no longer developed; write .sog or .spz.")


def _decode(data: npt.NDArray[np.uint8]) -> Gaussians:
    major, minor, sections, count, level = struct.unpack_from("<BB2xI8xIH", data.data)
    if major != 0 or minor < 1:
        raise Damaged(f"its version is {major}.{minor}, not 0.1")
    if level not in TYPES:
        raise Damaged(f"it has the compression level {level}, and there are 0 to 2")
    bounds = tuple(
        value or usual for value, usual in zip(struct.unpack_from("<2f", data.data, 36), (-1.5, 1.5), strict=True)
    )
    offset = HEADER + sections * SECTION_HEADER
    if offset > len(data):
        raise Damaged(f"it claims {sections} sections and ends before them")
    parts = []
    for number in range(sections):
        section = _Section.at(data, HEADER + number * SECTION_HEADER)
        if section.degree not in BANDS or section.count > section.most:
            raise Damaged(f"the header of its section {number} makes no sense")
        record = _record(level, section.degree)
        tables = 4 * section.partial + section.bucket_bytes * section.buckets
        end = offset + tables + section.most * record.itemsize
        if end > len(data):
            raise Damaged(f"its section {number} ends after the file")
        if section.count:
            rows = np.frombuffer(data[offset + tables : end], record, section.count)
            middles = None if level == 0 else _middles(data[offset : offset + tables], section)
            parts.append(_gaussians(rows, middles, section, bounds))
        offset = end
    if sum(part.count for part in parts) != count or not parts:
        raise Damaged(f"it claims {count} splats, which are not those of its sections")
    return Gaussians(*(np.concatenate([getattr(part, name) for part in parts]) for name in vars(parts[0])))


def _record(level: int, degree: int) -> np.dtype[np.void]:
    centre, shape, harmonics = TYPES[level]
    fields = [("mean", centre, 3), ("scale", shape, 3), ("quat", shape, 4), ("rgba", "u1", 4)]
    return np.dtype([*fields, ("rest", harmonics, 3 * sum(BANDS[degree]))])


def _middles(tables: npt.NDArray[np.uint8], section: _Section) -> npt.NDArray[np.float64]:
    """(count, 3) middle of the bucket that each splat is in: full buckets first, then those of given sizes."""
    filled = np.frombuffer(tables, "<u4", section.partial).astype(np.int64)
    if section.full * section.capacity + int(filled.sum()) > section.most or section.bucket_bytes < 12:
        raise Damaged("its buckets hold more splats than their section")
    sizes = np.concatenate([np.full(section.full, section.capacity, np.int64), filled])
    bucket = np.repeat(np.arange(len(sizes)), sizes)[: section.count]
    if len(bucket) < section.count or (len(bucket) and bucket[-1] >= section.buckets):
        raise Damaged("its buckets hold fewer splats than their section")
    rows = tables[4 * section.partial :].reshape(section.buckets, section.bucket_bytes)[:, :12]
    return np.ascontiguousarray(rows).view("<f4").astype(np.float64)[bucket]


def _gaussians(
    rows: np.ndarray, middles: npt.NDArray[np.float64] | None, section: _Section, bounds: tuple[float, ...]
) -> Gaussians:
    means, scales = rows["mean"].astype(np.float64), rows["scale"].astype(np.float64)
    if middles is not None:
        middle = section.middle or MIDDLE
        means = (means - middle) * (section.block / 2.0 / middle) + middles
    if not (scales >= 0).all():
        raise Damaged("a size in it is negative")
    rest = rows["rest"].astype(np.float32)
    if rows["rest"].dtype == np.uint8:
        rest = bounds[0] + rest / np.float32(255.0) * (bounds[1] - bounds[0])
    sh = np.zeros((len(rows), 16, 3), np.float32)
    sh[:, 0] = (rows["rgba"][:, :3] / 255.0 - 0.5) / SH_0
    taken, first = 0, 1
    for size in BANDS[section.degree]:  # a band's red, then its green, then its blue
        sh[:, first : first + size] = rest[:, taken : taken + 3 * size].reshape(-1, 3, size).transpose(0, 2, 1)
        taken, first = taken + 3 * size, first + size
    return Gaussians(
        means.astype(np.float32),
        np.log(np.maximum(scales, SMALLEST)).astype(np.float32),
        unit_quaternions(rows["quat"]).astype(np.float32),
        opacity_logit(rows["rgba"][:, 3]),
        sh,
    )
