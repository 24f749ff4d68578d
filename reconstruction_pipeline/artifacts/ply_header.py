"""The header of a PLY file, read without trusting it: what it claims must fit into the file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reconstruction_pipeline.artifacts.errors import InvalidArtifact

LIMIT = 1 << 16  # bytes; the header of a splat with SH degree 3 has 1.6 kB
TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2", "ushort": "u2",
    "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4", "float": "f4", "float32": "f4",
    "double": "f8", "float64": "f8",
}  # fmt: skip
ORDERS = {"binary_little_endian": "<", "binary_big_endian": ">", "ascii": "="}


@dataclass(frozen=True)
class PlyElement:
    """A table of the file: its rows, the type of one, and where it starts (bytes; binary files only)."""

    name: str
    count: int
    dtype: np.dtype
    offset: int


@dataclass(frozen=True)
class PlyHeader:
    """`form` is ascii, binary_little_endian or binary_big_endian; `elements` in the order of the file."""

    form: str
    elements: tuple[PlyElement, ...]

    def element(self, name: str) -> PlyElement | None:
        """The table of this name, if there is one."""
        return next((element for element in self.elements if element.name == name), None)


def read_header(path: Path) -> PlyHeader:
    """Parse and check a PLY of plain tables (no lists); raises `InvalidArtifact` in one sentence for any other file.

    Whoever allocates what the header claims allocates no more than a small multiple of the file.
    """
    try:
        with path.open("rb") as file:
            return _parse(file.read(LIMIT), path.stat().st_size)
    except (ValueError, LookupError, UnicodeDecodeError, OSError) as error:
        raise InvalidArtifact(f"{path}: not a readable PLY ({error}); make it again.") from error


def _parse(start: bytes, size: int) -> PlyHeader:
    if not start.startswith((b"ply\n", b"ply\r")):
        raise ValueError("it does not begin like one")
    text, mark, rest = start.partition(b"end_header")
    newline = rest.find(b"\n")
    if not mark or not 0 <= newline <= 1:
        raise ValueError(f"its header does not end within {LIMIT} bytes")
    offset = len(text) + len(mark) + newline + 1
    form, tables = "", []
    for line in text.decode("ascii", "replace").splitlines()[1:]:
        match line.split():
            case ["format", name, "1.0"] if name in ORDERS and not form:
                form = name
            case ["element", name, rows] if rows.isdecimal() and len(rows) < 19:
                tables.append((name, int(rows), list[tuple[str, str]]()))
            case ["property", kind, name] if kind in TYPES and tables:
                tables[-1][2].append((name, ORDERS[form or "ascii"] + TYPES[kind]))
            case ["property", "list", *_]:
                raise ValueError("it has lists, so it is a mesh and no splats")
            case ["comment" | "obj_info", *_] | []:
                pass
            case _:
                raise ValueError(f"its header has the line '{line[:60]}'")
    if not form:
        raise ValueError("its header names no format")
    elements = []
    for name, count, properties in tables:
        dtype = np.dtype(properties)
        # As text every value takes a digit and a space at least.
        claimed = count * (2 * len(properties) if form == "ascii" else dtype.itemsize)
        if claimed > size - offset:
            raise ValueError(f"it ends early: its {count} rows of '{name}' do not fit into {size} bytes")
        elements.append(PlyElement(name, count, dtype, offset))
        offset += claimed
    return PlyHeader(form, tuple(elements))
