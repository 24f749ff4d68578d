"""How SPZ wraps its arrays: one gzip stream (versions 2 and 3), bare (2 and 3), or zstd streams (version 4).

A file is believed only as far as its size allows: nothing is unpacked beyond what its header needs, and a header
that needs `EXPANSION` times the file is refused.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reconstruction_pipeline.artifacts.ply import SH_COEFFICIENTS
from reconstruction_pipeline.stages.compression.codecs.base import Damaged

MAGIC = 0x5053474E  # "NGSP"
HEADER = struct.Struct("<IIIBBBB")  # magic, version, splats, SH degree, fractional bits, flags, streams (v4)
HEADER_4 = HEADER.size + 16  # and u32 offset of the table, 12 reserved bytes
EXTENDED = 2  # the flag of vendor records
VERSIONS = (2, 3, 4)
EXPANSION = 100
ALWAYS = 1 << 20  # bytes that may always be unpacked
TRAILER = 1 << 16  # bytes of vendor records that are looked at
CHANGES_MEANING = {0xADBE0001: "its own SH quantisation", 0xADBE0003: "its own coordinate system"}


@dataclass(frozen=True)
class Packed:
    """An SPZ file unpacked: positions, opacities, colours, sizes, rotations and SH as bytes, splat after splat."""

    version: int
    count: int
    degree: int
    fraction_bits: int
    arrays: tuple[bytes, ...]


def array_sizes(version: int, degree: int) -> tuple[int, ...]:
    """Bytes per splat of each array."""
    return 9, 1, 3, 3, 3 if version == 2 else 4, 3 * (SH_COEFFICIENTS[degree] - 1)


def unpack(path: Path) -> Packed:
    """Read a file of any version; raises `Damaged` (and what zlib and zstd raise)."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(HEADER.size)
        file.seek(0)
        if start[:2] == b"\x1f\x8b":
            return _from_stream(_Inflated(file), size)
        version = HEADER.unpack(start)[1] if len(start) == HEADER.size else 0
        return _from_table(file, size) if version == 4 else _from_stream(file, size)


class _Inflated:
    """A gzip stream read piece by piece."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._inflate = zlib.decompressobj(wbits=31)

    def read(self, size: int) -> bytes:
        pieces, missing = [], size
        while missing:
            source = self._inflate.unconsumed_tail or self._file.read(1 << 16)
            piece = self._inflate.decompress(source, missing)
            if not piece and (not source or self._inflate.eof):
                break
            pieces.append(piece)
            missing -= len(piece)
        return b"".join(pieces)

    @property
    def ended(self) -> bool:
        return self._inflate.eof


def _header(data: bytes, size: int) -> tuple[int, int, int, int, int, int]:
    """Version, splats, degree, fractional bits, flags, streams; refused when the file cannot hold them."""
    if len(data) < HEADER.size:
        raise Damaged("it ends within its header")
    magic, version, count, degree, bits, flags, streams = HEADER.unpack(data)
    if magic != MAGIC:
        raise Damaged("it does not begin like one")
    if version not in VERSIONS:
        raise Damaged(f"its version is {version}, and 2, 3 and 4 can be read")
    if degree not in SH_COEFFICIENTS:
        raise Damaged(f"its spherical harmonics have degree {degree}, and at most 3 can be read")
    if bits > 23:
        raise Damaged(f"its positions have {bits} fractional bits of 24")
    needed = count * sum(array_sizes(version, degree))
    if count == 0 or needed > max(ALWAYS, EXPANSION * size):
        raise Damaged(f"it claims {count} splats in {size} bytes")
    return version, count, degree, bits, flags, streams


def _from_stream(file: Any, size: int) -> Packed:
    version, count, degree, bits, flags, _ = _header(file.read(HEADER.size), size)
    if version == 4:
        raise Damaged("it is version 4 in the wrapping of version 3")
    arrays = []
    for each in array_sizes(version, degree):
        arrays.append(file.read(count * each))
        if len(arrays[-1]) != count * each:
            raise Damaged(f"it ends before its {count} splats do")
    rest = file.read(TRAILER)  # to the end also because zlib compares its checksum there
    if isinstance(file, _Inflated) and not file.ended:
        raise Damaged("it does not end with its splats")
    if flags & EXTENDED:
        _check_records(rest)
    return Packed(version, count, degree, bits, tuple(arrays))


def _from_table(file: Any, size: int) -> Packed:
    start = file.read(HEADER_4)
    version, count, degree, bits, flags, streams = _header(start[: HEADER.size], size)
    if len(start) < HEADER_4:
        raise Damaged("it ends within its header")
    (offset,) = struct.unpack_from("<I", start, HEADER.size)
    sizes = [count * each for each in array_sizes(version, degree)]
    if streams not in (5, 6) or (streams == 5 and sizes[5]) or not HEADER_4 <= offset <= size - 16 * streams:
        raise Damaged(f"its table of {streams} streams is not where a table can be")
    if flags & EXTENDED:
        _check_records(file.read(min(offset - HEADER_4, TRAILER)))
    file.seek(offset)
    table = struct.unpack(f"<{2 * streams}Q", file.read(16 * streams))
    arrays = []
    for wanted, packed, unpacked in zip(sizes, table[::2], table[1::2], strict=False):
        if unpacked != wanted or packed > size:
            raise Damaged(f"a stream of {unpacked} bytes stands where its {count} splats need {wanted}")
        arrays.append(_decompressed(file.read(packed), wanted))
    return Packed(version, count, degree, bits, (*arrays, b"")[:6])


def _decompressed(data: bytes, wanted: int) -> bytes:
    import zstandard

    if not wanted:
        return b""
    # Read as a stream, with a window that fits: what the frame claims for itself is then not allocated.
    reader = zstandard.ZstdDecompressor(max_window_size=max(1 << 23, 2 * wanted)).stream_reader(data)
    result = bytes(reader.read(wanted))
    if len(result) != wanted:
        raise Damaged("a stream in it ends early")
    return result


def _check_records(data: bytes) -> None:
    """Refuse vendor records that change what the numbers mean; the others (viewing limits) may be left out."""
    position = 0
    while position + 8 <= len(data):
        kind, length = struct.unpack_from("<II", data, position)
        if kind in CHANGES_MEANING:
            raise Damaged(f"it has {CHANGES_MEANING[kind]} (record {kind:#x}), which is not understood here")
        position += 8 + length


def pack(path: Path, packed: Packed) -> None:
    """Write a file: versions 2 and 3 as gzip without a date, version 4 as zstd."""
    count, version = packed.count, packed.version
    header = (MAGIC, version, count, packed.degree, packed.fraction_bits, 0)
    with path.open("wb") as file:
        if version == 4:
            import zstandard

            arrays = [array for array in packed.arrays if array]
            streams = [zstandard.ZstdCompressor(level=12).compress(array) for array in arrays]
            file.write(HEADER.pack(*header, len(streams)) + struct.pack("<I12x", HEADER_4))
            for stream, array in zip(streams, arrays, strict=True):
                file.write(struct.pack("<QQ", len(stream), len(array)))
            file.writelines(streams)
            return
        deflate = zlib.compressobj(9, wbits=31)
        for piece in (HEADER.pack(*header, 0), *packed.arrays):
            file.write(deflate.compress(piece))
        file.write(deflate.flush())
