"""Writes HEIC photos as phones do: HEVC tiles in a grid, a rotation, EXIF."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import av
import numpy as np

from reconstruction_pipeline_tests.stages.captures import Rgb


def box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def full(kind: bytes, version: int, *parts: bytes, flags: int = 0) -> bytes:
    return box(kind, struct.pack(">I", version << 24 | flags), *parts)


def coded(tile: Rgb, folder: Path) -> tuple[bytes, bytes]:
    """(decoder configuration, length-prefixed NAL units) of one picture, out of an MP4 of it."""
    path = folder / "tile.mp4"
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx265", rate=1)
        stream.height, stream.width = tile.shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": "8", "preset": "ultrafast", "x265-params": "log-level=0:keyint=1"}
        stream.codec_context.color_range, stream.codec_context.colorspace = 2, 6
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(tile), format="rgb24")
        full_range = frame.reformat(format="yuvj420p", dst_colorspace="ITU601", dst_color_range="JPEG")
        full_range = av.VideoFrame.from_ndarray(full_range.to_ndarray(), format="yuv420p")
        full_range.color_range, full_range.colorspace = 2, 6
        container.mux([*stream.encode(full_range), *stream.encode()])
    data = path.read_bytes()
    at = data.index(b"hvcC") - 4
    config = data[at + 8 : at + struct.unpack(">I", data[at : at + 4])[0]]
    with av.open(str(path)) as container:
        packet = next(container.demux(video=0))
        return config, bytes(packet)


def write_heic(
    path: Path, image: Rgb, tile: int = 64, turns: int = 0, mirror: int | None = None, exif: bytes = b""
) -> Path:
    """`image` (H, W, 3) as stored, in square tiles; for the viewer to do: `turns` counter-clockwise, and `mirror` (0:
    up-down, 1: sideways).
    """
    height, width = image.shape[:2]
    rows, columns = -(-height // tile), -(-width // tile)
    padded = np.pad(image, ((0, rows * tile - height), (0, columns * tile - width), (0, 0)), mode="edge")
    pieces = [
        coded(padded[r * tile : (r + 1) * tile, c * tile : (c + 1) * tile], path.parent)
        for r in range(rows)
        for c in range(columns)
    ]
    count = len(pieces)
    grid, exif_item = count + 1, count + 2
    data = [piece for _, piece in pieces] + ([struct.pack(">I", 0) + exif] if exif else [])
    kinds = [b"hvc1"] * count + [b"grid"] + ([b"Exif"] if exif else [])
    entries = [full(b"infe", 2, struct.pack(">HH", i, 0), kind, b"\0") for i, kind in enumerate(kinds, start=1)]
    properties = [
        box(b"hvcC", pieces[0][0]),
        full(b"ispe", 0, struct.pack(">II", tile, tile)),
        full(b"ispe", 0, struct.pack(">II", width, height)),
        box(b"colr", b"nclx", struct.pack(">HHHB", 1, 13, 6, 0x80)),
        box(b"irot", bytes([turns])),
        box(b"imir", bytes([mirror or 0])),
    ]
    of_grid = [3, 4, 5] + ([6] if mirror is not None else [])
    links = b"".join(struct.pack(">HB", i, 2) + bytes([0x81, 2]) for i in range(1, count + 1))
    links += struct.pack(">HB", grid, len(of_grid)) + bytes(of_grid)
    references = box(b"dimg", struct.pack(f">HH{count}H", grid, count, *range(1, count + 1)))
    if exif:
        references += box(b"cdsc", struct.pack(">HHH", exif_item, 1, grid))

    def whole(start: int) -> bytes:
        places, at = b"", start
        for item, body in zip([*range(1, count + 1), exif_item], data, strict=False):
            places += struct.pack(">HHHHII", item, 0, 0, 1, at, len(body))
            at += len(body)
        description = struct.pack(">BBBBHH", 0, 0, rows - 1, columns - 1, width, height)
        places += struct.pack(">HHHHII", grid, 1, 0, 1, 0, len(description))
        meta = full(
            b"meta",
            0,
            full(b"hdlr", 0, bytes(4), b"pict", bytes(13)),
            full(b"pitm", 0, struct.pack(">H", grid)),
            full(b"iloc", 1, struct.pack(">BBH", 0x44, 0, len(data) + 1), places),
            full(b"iinf", 0, struct.pack(">H", len(entries)), *entries),
            full(b"iref", 0, references),
            box(b"iprp", box(b"ipco", *properties), full(b"ipma", 0, struct.pack(">I", count + 1), links)),
            box(b"idat", description),
        )
        return box(b"ftyp", b"heic", bytes(4), b"mif1", b"heic") + meta

    head = whole(len(whole(0)) + 8)
    path.write_bytes(head + box(b"mdat", *data))
    return path
