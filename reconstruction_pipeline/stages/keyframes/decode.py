"""Reading a video as a stream of frames with their times; memory does not depend on its length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import av.error

from reconstruction_pipeline.artifacts.errors import InputRejected

# Decoding forward beats seeking when the next wanted frame is nearer than this; GOPs are often longer.
SEEK_AHEAD_S = 4.0


@dataclass(frozen=True)
class Decoded:
    """A frame, its place among the frames that decode, its time in seconds (display clock, edit list applied)."""

    index: int
    time_s: float
    frame: Any


@dataclass
class VideoReader:
    """One pass over the first real video stream.

    `errors` counts what would not decode; `aspect` is a pixel's width over its height, known once frames come;
    `skipped` tells that indices no longer count from the beginning.
    """

    path: Path
    errors: int = 0
    aspect: float = 1.0
    skipped: bool = False

    def frames(self, wanted: Sequence[float] | None = None) -> Iterator[Decoded]:
        """All frames in display order; with `wanted` (their times) it may skip stretches without any of them.

        Times may repeat (phones write such files), so compare indices until something was skipped.
        """
        try:
            container = av.open(str(self.path), options={"protocol_whitelist": "file"})
        except av.error.FFmpegError as error:
            raise InputRejected(f"{self.path.name}: not a readable video ({error.strerror}); add it again.") from error
        with closing(container):
            streams = [s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic]
            if not streams:
                raise InputRejected(f"{self.path.name}: the file has no video stream; give the video itself.")
            stream = streams[0]
            stream.thread_type = "AUTO"
            self.aspect = float(stream.sample_aspect_ratio or 1.0)
            yield from self._decode(container, stream, sorted(wanted or ()))

    def _decode(self, container: Any, stream: Any, wanted: list[float]) -> Iterator[Decoded]:
        period = 1.0 / float(stream.average_rate or stream.base_rate or 30)
        key_times = _key_frame_times(stream) if wanted else []
        last = -period
        index = 0
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except av.error.FFmpegError:
                self.errors += 1
                return
            try:
                frames = packet.decode()
            except av.error.EOFError:
                continue
            except av.error.FFmpegError:
                self.errors += 1
                continue
            for frame in frames:
                last = float(frame.time) if frame.time is not None else last + period
                yield Decoded(index, last, frame)
                index += 1
            # Phones write files whose first timestamps are out of order: what is just behind may still come.
            wanted = [t for t in wanted if t > last - SEEK_AHEAD_S]
            # Only a key frame that lies ahead of here saves work; long GOPs often have none.
            ahead = [t for t in key_times if wanted and last + SEEK_AHEAD_S < t < wanted[0] - SEEK_AHEAD_S / 8]
            if ahead and wanted[0] > last:
                key_times = [t for t in key_times if t > ahead[-1]]
                container.seek(round(ahead[-1] / stream.time_base), stream=stream, backward=True)
                packets = container.demux(stream)
                self.skipped = True


def _key_frame_times(stream: Any) -> list[float]:
    """Decoding times of the key frames in the container's index, ascending; empty where it keeps none."""
    entries = getattr(stream, "index_entries", None) or ()
    return sorted(float(entry.timestamp * stream.time_base) for entry in entries if entry.is_keyframe)
