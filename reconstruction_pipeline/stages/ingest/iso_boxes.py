"""What FFmpeg does not tell of an ISO media file (MP4, MOV): edit lists, tracks of sensors, 360° marks.

Only the boxes' headers and a few small bodies are read, whatever the length of the file.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

CONTAINERS = {b"moov", b"trak", b"edts", b"mdia", b"minf", b"stbl", b"udta", b"sv3d", b"proj", b"st3d"}
# Damaged and hostile files hold more and deeper boxes than any camera writes.
MOST_BOXES = 20_000
DEEPEST = 12
LARGEST_BODY = 64 * 1024

# Sample descriptions of timed metadata, and what cameras put into them.
SENSOR_TRACKS = {
    "gpmd": "GoPro telemetry (position, motion)",
    "camm": "camera motion metadata (position, motion)",
    "djmd": "DJI telemetry (position, motion)",
    "mebx": "Apple timed metadata",
    "rtmd": "Sony real-time metadata (motion)",
    "CTMD": "Canon timed metadata",
}
VIDEO_SAMPLE_ENTRY = 78  # bytes of a VisualSampleEntry before its own boxes
SPHERICAL_V1 = bytes.fromhex("ffcc8263f8554a938814587a02521fdd")


@dataclass
class IsoFacts:
    """`edit_list`: a video track is shifted or cut by one. `sensor_tracks` are words. `projection` as 360° marks say.

    `place` tells that the file says where it was made (never where).
    """

    edit_list: bool = False
    sensor_tracks: tuple[str, ...] = ()
    projection: str = "flat"
    place: bool = False


def iso_facts(path: Path) -> IsoFacts:
    """The facts of an ISO media file; nothing special for any other file, and what was found up to any damage."""
    facts, track = IsoFacts(), _Track()
    with path.open("rb") as file:
        for kind, parents, start, size in _boxes(file, 0, path.stat().st_size):
            if kind == b"trak":
                track = _Track()
            elif kind == b"hdlr" and parents[-1:] == (b"mdia",):
                track.kind = _body(file, start + 8, 4)
            elif kind == b"elst":
                track.edited = _shifts(_body(file, start, min(size, LARGEST_BODY)))
            elif kind in (b"\xa9xyz", b"loci"):
                facts.place = True
            elif kind == b"equi" or (kind == b"uuid" and _body(file, start, 16) == SPHERICAL_V1):
                facts.projection = "equirectangular"
            elif kind in (b"cbmp", b"mshp"):
                facts.projection = "other 360"
            elif kind == b"stsd":
                entry = _body(file, start + 12, 4).decode("latin-1")
                if entry in SENSOR_TRACKS:
                    facts.sensor_tracks = (*facts.sensor_tracks, SENSOR_TRACKS[entry])
            # In the order of the standard, `edts` comes before `mdia`.
            facts.edit_list |= track.kind == b"vide" and track.edited
    return facts


def top_level(path: Path) -> set[str]:
    """Names of the outermost boxes."""
    with path.open("rb") as file:
        found = _boxes(file, 0, path.stat().st_size, descend=False)
        return {kind.decode("latin-1") for kind, _, _, _ in found}


@dataclass
class _Track:
    kind: bytes = b""
    edited: bool = False


def _boxes(
    file: BinaryIO,
    start: int,
    end: int,
    parents: tuple[bytes, ...] = (),
    descend: bool = True,
    left: list[int] | None = None,
) -> Iterator[tuple[bytes, tuple[bytes, ...], int, int]]:
    """(kind, kinds around it, start of its body, bytes of its body), outer before inner."""
    left = [MOST_BOXES] if left is None else left
    while start + 8 <= end and left[0] > 0:
        left[0] -= 1
        header = _body(file, start, 16)
        if len(header) < 8:
            return
        size, kind = struct.unpack(">I4s", header[:8])
        body = start + 8
        if size == 1 and len(header) == 16:
            size, body = struct.unpack(">Q", header[8:])[0], start + 16
        elif size == 0:
            size = end - start
        if size < body - start:
            return
        stop = min(start + size, end)
        yield kind, parents, body, stop - body
        if descend and len(parents) < DEEPEST:
            inner = body if kind in CONTAINERS else _inside_sample_description(kind, parents, body)
            if inner is not None:
                yield from _boxes(file, inner, stop, (*parents, kind), descend, left)
        start += size


def _inside_sample_description(kind: bytes, parents: tuple[bytes, ...], body: int) -> int | None:
    """Where boxes begin inside a `stsd` and inside an entry of it; None elsewhere. Only video entries have marks."""
    if kind == b"stsd":
        return body + 8
    return body + VIDEO_SAMPLE_ENTRY if parents[-1:] == (b"stsd",) else None


def _body(file: BinaryIO, start: int, size: int) -> bytes:
    file.seek(start)
    return file.read(size)


def _shifts(body: bytes) -> bool:
    """Whether an edit list does more than play the whole track from its first picture."""
    if len(body) < 8:
        return False
    count = struct.unpack(">I", body[4:8])[0]
    form = ">Qq" if body[0] == 1 else ">Ii"
    if count != 1:
        return count > 1
    size = struct.calcsize(form)
    return len(body) >= 8 + size and struct.unpack(form, body[8 : 8 + size])[1] != 0
