"""The boxes of a HEIF picture (ISO/IEC 23008-12): which coded pieces make the photo, how it is turned, its EXIF.

Only the structure; decoding the pieces is the work of a video decoder. Phones store a photo as a grid of HEVC tiles.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1"}
MOST_ITEMS = 4096
MOST_TILES = 1024
LARGEST = 512 * 1024**2


class BadHeif(ValueError):
    """The file is damaged, or uses a part of the standard that is not read here."""


@dataclass(frozen=True)
class Piece:
    """One coded HEVC picture: `config` is its decoder configuration (`hvcC`), `data` its length-prefixed NAL units."""

    config: bytes
    data: bytes


@dataclass(frozen=True)
class HeifPicture:
    """A photo: pieces row by row in a grid of `columns`, cut to (`width`, `height`) pixels, then turned.

    `turns` are quarter turns counter-clockwise, `mirror` "" or, after turning, "left-right" or "top-bottom".
    `colour` is (primaries, transfer, matrix, full range) of H.273 or None, `icc` a profile or empty.
    `exif` begins at its TIFF header; empty where there is none.
    """

    width: int
    height: int
    columns: int
    pieces: tuple[Piece, ...]
    turns: int = 0
    mirror: str = ""
    colour: tuple[int, int, int, bool] | None = None
    icc: bytes = b""
    exif: bytes = b""

    @property
    def upright_size(self) -> tuple[int, int]:
        """(width, height) once turned."""
        return (self.height, self.width) if self.turns % 2 else (self.width, self.height)


def is_heif(head: bytes) -> bool:
    """Whether a file that begins so (32 bytes or more) says that it is a HEIF picture."""
    return head[4:8] == b"ftyp" and (head[8:12] in BRANDS or any(head[i : i + 4] in BRANDS for i in (16, 20, 24, 28)))


def read_heif(data: bytes) -> HeifPicture:
    """The picture of a whole file. Raises `BadHeif`."""
    try:
        return _read(data)
    except (struct.error, IndexError, KeyError, RecursionError) as error:
        raise BadHeif(f"damaged HEIF structure ({type(error).__name__})") from error


@dataclass
class _Meta:
    primary: int = 0
    kinds: dict[int, bytes] = field(default_factory=dict)
    references: dict[tuple[bytes, int], list[int]] = field(default_factory=dict)
    properties: list[tuple[bytes, bytes]] = field(default_factory=list)
    properties_of: dict[int, list[int]] = field(default_factory=dict)
    extents: dict[int, tuple[int, list[tuple[int, int]]]] = field(default_factory=dict)
    inline: bytes = b""


def _read(data: bytes) -> HeifPicture:
    meta_box = next((body for kind, body in _boxes(data) if kind == b"meta"), None)
    if meta_box is None or not is_heif(data[:64]):
        raise BadHeif("not a HEIF picture")
    meta = _meta(meta_box[4:])
    about = dict(_properties(meta, meta.primary))
    kind = meta.kinds[meta.primary]
    if kind == b"hvc1":
        tiles, columns = [meta.primary], 1
        width, height = struct.unpack(">II", about[b"ispe"][4:12])
    elif kind == b"grid":
        tiles = meta.references[b"dimg", meta.primary]
        width, height, rows, columns = _grid(_item(data, meta, meta.primary))
        if len(tiles) != rows * columns or len(tiles) > MOST_TILES:
            raise BadHeif(f"a grid of {rows}x{columns} with {len(tiles)} tiles")
    else:
        raise BadHeif(f"a picture of kind '{kind.decode('latin-1')}', of which only HEVC is read")
    if not (0 < width < 65536 and 0 < height < 65536):
        raise BadHeif("no size")
    pieces = tuple(Piece(dict(_properties(meta, tile))[b"hvcC"], _item(data, meta, tile)) for tile in tiles)
    if sum(len(piece.data) for piece in pieces) > LARGEST:
        raise BadHeif("too large")
    turns, mirror = _orientation(meta)
    near = (*_properties(meta, meta.primary), *_properties(meta, tiles[0]))
    colours = [body for kind, body in near if kind == b"colr"]
    coded = next((body for body in colours if body[:4] == b"nclx"), b"")
    profile = next((body[4:] for body in colours if body[:4] in (b"prof", b"rICC")), b"")
    colour = None
    if len(coded) >= 11:
        primaries, transfer, matrix = struct.unpack(">HHH", coded[4:10])
        colour = (primaries, transfer, matrix, bool(coded[10] & 0x80))
    return HeifPicture(width, height, columns, pieces, turns, mirror, colour, profile, _exif(data, meta))


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at + 8 <= len(data):
        size, kind = struct.unpack(">I4s", data[at : at + 8])
        head = 8
        if size == 1:
            size, head = struct.unpack(">Q", data[at + 8 : at + 16])[0], 16
        elif size == 0:
            size = len(data) - at
        if size < head:
            return
        yield kind, data[at + head : at + size]
        at += size


def _meta(body: bytes) -> _Meta:
    meta = _Meta()
    for kind, inner in _boxes(body):
        if kind == b"pitm":
            meta.primary = struct.unpack(">H" if inner[0] == 0 else ">I", inner[4 : 6 if inner[0] == 0 else 8])[0]
        elif kind == b"iinf":
            _items(meta, inner)
        elif kind == b"iref":
            _references(meta, inner)
        elif kind == b"iprp":
            _item_properties(meta, inner)
        elif kind == b"iloc":
            _locations(meta, inner)
        elif kind == b"idat":
            meta.inline = inner
    return meta


def _items(meta: _Meta, body: bytes) -> None:
    for kind, entry in _boxes(body[6 if body[0] == 0 else 8 :]):
        if kind != b"infe" or entry[0] < 2 or len(meta.kinds) >= MOST_ITEMS:
            continue
        wide = entry[0] > 2
        number = struct.unpack(">I" if wide else ">H", entry[4 : 8 if wide else 6])[0]
        start = 10 if wide else 8
        meta.kinds[number] = entry[start : start + 4]


def _references(meta: _Meta, body: bytes) -> None:
    form, size = (">H", 2) if body[0] == 0 else (">I", 4)
    for kind, entry in _boxes(body[4:]):
        source, count = struct.unpack(form, entry[:size])[0], struct.unpack(">H", entry[size : size + 2])[0]
        numbers = [struct.unpack(form, entry[size + 2 + i * size : size + 2 + (i + 1) * size])[0] for i in range(count)]
        meta.references[kind, source] = numbers


def _item_properties(meta: _Meta, body: bytes) -> None:
    for kind, inner in _boxes(body):
        if kind == b"ipco":
            meta.properties = list(_boxes(inner))
        elif kind == b"ipma":
            wide_item, wide_index = inner[0] > 0, inner[3] & 1
            count, at = struct.unpack(">I", inner[4:8])[0], 8
            for _ in range(min(count, MOST_ITEMS)):
                item = struct.unpack(">I" if wide_item else ">H", inner[at : at + (4 if wide_item else 2)])[0]
                at += 4 if wide_item else 2
                links = inner[at]
                at += 1
                found = []
                for _ in range(links):
                    if wide_index:
                        found.append(struct.unpack(">H", inner[at : at + 2])[0] & 0x7FFF)
                    else:
                        found.append(inner[at] & 0x7F)
                    at += 2 if wide_index else 1
                meta.properties_of[item] = found


def _locations(meta: _Meta, body: bytes) -> None:
    version, sizes = body[0], struct.unpack(">H", body[4:6])[0]
    offset_size, length_size, base_size = sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15
    index_size = sizes & 15 if version in (1, 2) else 0
    at = 6

    def number(size: int) -> int:
        nonlocal at
        if size not in (0, 2, 4, 8) or at + size > len(body):
            raise BadHeif("damaged HEIF structure (iloc)")
        at += size
        return int.from_bytes(body[at - size : at], "big")

    count = number(4 if version == 2 else 2)
    for _ in range(min(count, MOST_ITEMS)):
        item = number(4 if version == 2 else 2)
        method = number(2) & 15 if version in (1, 2) else 0
        number(2)  # data reference
        base, extents = number(base_size), []
        for _ in range(number(2)):
            number(index_size)
            offset = number(offset_size)
            extents.append((base + offset, number(length_size)))
        meta.extents[item] = (method, extents)


def _item(data: bytes, meta: _Meta, number: int) -> bytes:
    method, extents = meta.extents[number]
    if method not in (0, 1):
        raise BadHeif("data stored in another item")
    whole = meta.inline if method else data
    if sum(length for _, length in extents) > len(data):
        raise BadHeif("damaged HEIF structure (extents)")
    return b"".join(whole[offset : offset + length if length else None] for offset, length in extents)


def _properties(meta: _Meta, item: int) -> list[tuple[bytes, bytes]]:
    known = len(meta.properties)
    return [meta.properties[index - 1] for index in meta.properties_of.get(item, ()) if 0 < index <= known]


def _grid(body: bytes) -> tuple[int, int, int, int]:
    """(width, height, rows, columns)."""
    form, size = (">II", 8) if body[1] & 1 else (">HH", 4)
    width, height = struct.unpack(form, body[4 : 4 + size])
    return width, height, body[2] + 1, body[3] + 1


def _orientation(meta: _Meta) -> tuple[int, str]:
    turns, mirror = 0, ""
    for kind, body in _properties(meta, meta.primary):
        if kind == b"irot":
            turns = body[0] & 3
        elif kind == b"imir":
            mirror = "left-right" if body[0] & 1 else "top-bottom"
    return turns, mirror


def _exif(data: bytes, meta: _Meta) -> bytes:
    for item, kind in meta.kinds.items():
        if kind == b"Exif" and meta.primary in meta.references.get((b"cdsc", item), [meta.primary]):
            block = _item(data, meta, item)
            return block[4 + struct.unpack(">I", block[:4])[0] :] if len(block) > 8 else b""
    return b""
