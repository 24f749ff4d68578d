"""Reading a video, in a child process with limits: a file may break the decoder, but nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.artifacts.guarded import ChildFailed, ChildLimits, GuardedChild
from reconstruction_pipeline.stages.keyframes.bars import Borders, black_borders, common_bars
from reconstruction_pipeline.stages.keyframes.hardware import SOFTWARE, devices_here

WORKER = "reconstruction_pipeline.stages.keyframes.decode_worker"


@dataclass(frozen=True)
class DecodeLimits:
    """What decoding one video may take.

    memory_mb: beyond it the decoder is stopped. 8K video of 10 bits takes about 4000 on 16 cores.
    stall_s: without a frame for this long, seconds, the decoder counts as hung.
    max_frames: no capture needs more; it also ends files that never do.
    max_pixels: of one frame.
    """

    memory_mb: int = 6000
    stall_s: float = 60.0
    max_frames: int = 2_000_000
    max_pixels: int = 80_000_000


@dataclass(frozen=True)
class Decoded:
    """A frame as array: its place among the frames that decode, its time in seconds (display clock, edit list applied).

    `array` is uint8, (H, W) in grey or (H, W, 3) in colour.
    """

    index: int
    time_s: float
    array: npt.NDArray[np.uint8]


@dataclass
class VideoReader:
    """Passes over one video stream (`stream` counts all streams of the file; None takes the first real video).

    With `hardware` the machine's own decoder is used where it has one; `decoder` tells what decoded the last pass. One
    that gives no frame at all is not asked again: software takes its place, and `decoder` says so.

    After a pass, `errors` counts what would not decode in it, and `problem` completes "the decoder …" where it was
    stopped or stopped itself before the end, and is empty otherwise. `cut` is what `pictures` left out as black bars
    on either side: parts of the stored width and height; nothing where `cut_bars` is false.
    """

    path: Path
    stream: int | None = None
    limits: DecodeLimits = DecodeLimits()
    errors: int = 0
    problem: str = ""
    cut_bars: bool = True
    hardware: bool = True
    decoder: str = SOFTWARE
    cut: tuple[float, float] = (0.0, 0.0)
    _borders: list[Borders] = field(default_factory=list)
    _shape: tuple[int, int] = (1, 1)

    def grays(self, max_size: int) -> Iterator[Decoded]:
        """Every frame in display order: luma (H, W), square pixels, as stored, longest side at most `max_size`."""
        self._borders.clear()
        for decoded in self._pass(max_size, None):
            self._shape = decoded.array.shape[:2]
            self._borders.append(black_borders(decoded.array))
            yield decoded

    def pictures(self, wanted: Sequence[tuple[int, float]], max_size: int) -> Iterator[Decoded]:
        """The frames of the given (index, time), ascending: (H, W, 3), upright, BT.709, longest side at most
        `max_size`. Stretches without any of them are skipped where the file has key frames to skip to. Black bars that
        `grays` saw around every one of them are left out.
        """
        if wanted:
            seen = [self._borders[i] for i, _ in wanted if i < len(self._borders)] if self.cut_bars else []
            self.cut = common_bars(seen, self._shape)
            yield from self._pass(max_size, [(int(index), float(time)) for index, time in wanted])

    def _pass(self, max_size: int, wanted: list[tuple[int, float]] | None) -> Iterator[Decoded]:
        count = 0
        for decoded in self._read(max_size, wanted):
            count += 1
            yield decoded
        if count == 0 and self.hardware and devices_here():
            self.hardware = False
            yield from self._read(max_size, wanted)
            self.decoder = f"{SOFTWARE} (hardware gave no frame)"

    def _read(self, max_size: int, wanted: list[tuple[int, float]] | None) -> Iterator[Decoded]:
        limits = self.limits
        request = {
            "path": str(self.path.absolute()),
            "stream": self.stream,
            "max_pixels": limits.max_pixels,
            "max_frames": limits.max_frames,
            "size": max_size,
            "wanted": wanted,
            "cut": self.cut,
            "hardware": self.hardware,
        }
        self.errors, self.problem = 0, ""
        with GuardedChild(WORKER, request, ChildLimits(limits.memory_mb, limits.stall_s)) as child:
            try:
                for document, payload in child.messages():
                    if summary := document.get("summary"):
                        self.errors, self.problem = summary["errors"], summary["problem"]
                        self.decoder = summary["decoder"]
                        continue
                    array = np.frombuffer(payload, np.uint8).reshape(document["shape"])
                    yield Decoded(document["index"], document["time_s"], array)
            except ChildFailed as failure:
                self.errors, self.problem = self.errors + 1, str(failure)
