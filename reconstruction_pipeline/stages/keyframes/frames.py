"""Frames of a video, one after the other, in this process; memory does not depend on the video's length."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import av.error
from av.codec.hwaccel import HWAccel

from reconstruction_pipeline.artifacts.containers import OPEN_OPTIONS
from reconstruction_pipeline.stages.keyframes.hardware import HARDWARE_FORMATS, SOFTWARE, device_for, devices_here

# Decoding forward beats seeking when the next wanted frame is nearer than this; GOPs are often longer.
SEEK_AHEAD_S = 4.0
# A file that goes round in circles ends here.
MOST_PACKETS = 4_000_000


@dataclass(frozen=True)
class Frame:
    """A PyAV frame, its place among the frames that decode, its time in seconds (display clock, edit list applied)."""

    index: int
    time_s: float
    picture: Any


@dataclass
class FrameStream:
    """One pass over video stream `stream` (an index among all streams; None takes the first that is no cover picture).

    `errors` counts packets that would not decode and frames of another size than the first.
    `aspect` is a pixel's width over its height, known once frames come.
    `skipped` tells that indices no longer count from the beginning. `alive` is called for every packet.
    With `hardware` the machine's own decoder is taken where it has one; `decoder` names what decodes, once frames come.
    """

    path: Path
    stream: int | None = None
    max_pixels: int = 140_000_000
    errors: int = 0
    aspect: float = 1.0
    skipped: bool = False
    alive: Callable[[], None] = lambda: None
    hardware: bool = True
    decoder: str = SOFTWARE
    _device: str = ""

    def frames(self, wanted: Sequence[float] = ()) -> Iterator[Frame]:
        """All frames in display order; with `wanted` (their times) it may skip stretches without any of them.

        Times may repeat (phones write such files), so compare indices until something was skipped.
        Raises `av.error.FFmpegError` for a file that does not open, and `MemoryError`.
        """
        with closing(self._open()) as container:
            stream = self._choose(container)
            if stream is None:
                return
            stream.thread_type = "AUTO"
            # A damaged or hostile stream may grow on the way.
            stream.codec_context.options = {"max_pixels": str(self.max_pixels)}
            for other in container.streams:
                if other.index != stream.index:
                    other.discard = av.stream.Discard.all
            self.aspect = float(stream.sample_aspect_ratio or 1.0) or 1.0
            yield from self._decode(container, stream, sorted(wanted))

    def _open(self) -> Any:
        container = av.open(str(self.path), options=OPEN_OPTIONS)
        devices = devices_here() if self.hardware else ()
        stream = self._choose(container) if devices else None
        device = device_for(stream.codec_context.codec, devices) if stream else None
        if device is None:
            return container
        try:
            fast = av.open(str(self.path), options=OPEN_OPTIONS, hwaccel=HWAccel(device, allow_software_fallback=True))
        except av.error.FFmpegError:
            # It is there and cannot be used: taken by others, or its driver does not fit.
            self.decoder = f"{SOFTWARE} ({device} does not open)"
            return container
        container.close()
        self._device = device
        return fast

    def _choose(self, container: Any) -> Any:
        cover = av.stream.Disposition.attached_pic
        streams = [s for s in container.streams.video if not s.disposition & cover and s.codec_context is not None]
        chosen = [s for s in streams if s.index == self.stream]
        return next(iter(chosen or streams), None)

    def _decode(self, container: Any, stream: Any, wanted: list[float]) -> Iterator[Frame]:
        period = 1.0 / float(stream.average_rate or stream.base_rate or 30)
        key_times = _key_frame_times(stream) if wanted else []
        last, index, size = -period, 0, None
        packets = container.demux(stream)
        for _ in range(MOST_PACKETS):
            self.alive()
            try:
                packet = next(packets)
            except StopIteration:
                return
            except av.error.FFmpegError:
                # Memory lacks here, too, only where a damaged index tells of a packet larger than any.
                self.errors += 1
                # What the decoder still holds is good.
                packets, packet = iter(()), None
            try:
                frames = stream.decode(None) if packet is None else packet.decode()
            except av.error.EOFError:
                continue
            except av.error.FFmpegError as error:
                self._count(error)
                continue
            for frame in frames:
                if size is None and self._device and frame.format.name in HARDWARE_FORMATS:
                    self.decoder = self._device
                size = size or (frame.width, frame.height)
                if (frame.width, frame.height) != size:
                    self.errors += 1
                    continue
                last = float(frame.time) if frame.time is not None else last + period
                yield Frame(index, last, frame)
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

    def _count(self, error: av.error.FFmpegError) -> None:
        if error.errno == errno.ENOMEM:
            raise MemoryError(str(error)) from error
        self.errors += 1


def _key_frame_times(stream: Any) -> list[float]:
    """Decoding times of the key frames in the container's index, ascending; empty where it keeps none."""
    entries = getattr(stream, "index_entries", None) or ()
    return sorted(float(entry.timestamp * stream.time_base) for entry in entries if entry.is_keyframe)
