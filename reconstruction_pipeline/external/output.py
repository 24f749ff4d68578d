"""What a program prints: kept in a file of limited size, its end in memory, and read by patterns as it comes."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reconstruction_pipeline.external.descriptor import Watch
from reconstruction_pipeline.external.filling import Values, fill

TAIL_BYTES = 1 << 20
TAIL_READ = 8192  # of which the last lines are told
LAST_LINES, LINE_CHARACTERS = 5, 200
LONGEST_LINE = 1 << 16  # what has no line break after so many characters is read as a line all the same
CURVE_ROWS = 2000


class KeptLog:
    """Writes up to `limit` bytes to `path`, and at the end the last megabyte of what came after them."""

    def __init__(self, path: Path, limit: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self._limit, self.bytes = path, limit, 0
        self._file = path.open("wb")
        self._recent = bytearray()

    def write(self, chunk: bytes) -> None:
        """Take what the program printed."""
        room = self._limit - self.bytes
        if room > 0:
            self._file.write(chunk[:room])
        self.bytes += len(chunk)
        self._recent += chunk[-TAIL_BYTES:]
        if len(self._recent) > 2 * TAIL_BYTES:
            del self._recent[:-TAIL_BYTES]

    @property
    def left_out(self) -> int:
        """Bytes that are not in the file."""
        return max(0, self.bytes - self._limit - TAIL_BYTES)

    def close(self) -> None:
        """Finish the file; may be called twice."""
        if self._file.closed:
            return
        if beyond := max(0, self.bytes - self._limit):
            if self.left_out:
                self._file.write(f"\n[... {self.left_out:,} bytes left out ...]\n".encode())
            self._file.write(bytes(self._recent[-min(beyond, TAIL_BYTES) :]))
        self._file.close()

    def last_lines(self) -> str:
        """The end, for a sentence."""
        return last_lines(bytes(self._recent[-TAIL_READ:]))


def last_lines(output: bytes) -> str:
    """Up to five last lines that say something, joined by bars; "none" without any."""
    text = output.decode(errors="replace").replace("\r", "\n")
    lines = [line.strip()[:LINE_CHARACTERS] for line in text.splitlines() if not line.startswith("$ ")]
    return " | ".join([line for line in lines if line][-LAST_LINES:]) or "none"


@dataclass
class Watcher:
    """Looks for a program's patterns in what it prints; a carriage return ends a line like a line feed.

    `share` is in 0..1; `metrics` are numbers where they look like numbers; `curve` has rows (step, seconds, loss).
    """

    watch: Watch
    values: Values
    clock: Callable[[], float] = time.monotonic
    share: float = 0.0
    line: str = ""
    metrics: dict[str, Any] = field(default_factory=dict)
    curve: list[tuple[int, float, float]] = field(default_factory=list)
    _pending: str = ""

    def __post_init__(self) -> None:
        self._started = self.clock()
        self._progress = re.compile(self.watch.progress) if self.watch.progress else None
        self._curve = re.compile(self.watch.curve) if self.watch.curve else None
        self._metrics = {name: re.compile(pattern) for name, pattern in self.watch.metrics.items()}
        self._total = number(fill(self.watch.total, self.values) or "")

    def feed(self, chunk: bytes) -> None:
        """Look at whole lines; the last one waits for its end."""
        text = self._pending + chunk.decode(errors="replace").replace("\r", "\n")
        whole, mark, rest = text.rpartition("\n")
        if len(rest) > LONGEST_LINE:
            whole, rest = text, ""
        self._pending = rest
        if mark or whole:
            self._look(whole)

    def end(self) -> None:
        """Look at what is left."""
        self._look(self._pending)
        self._pending = ""

    def _look(self, text: str) -> None:
        if last := text.strip("\n").rpartition("\n")[2].strip():
            self.line = last[:LINE_CHARACTERS]
        if self._progress and (match := _last(self._progress, text)):
            self._see_progress(match)
        for name, pattern in self._metrics.items():
            if match := _last(pattern, text):
                found = number(match["value"])
                self.metrics[name] = match["value"] if found is None else found
        for match in self._curve.finditer(text) if self._curve else ():
            step, loss = number(match["step"]), number(match["loss"])
            if step is not None and loss is not None and (not self.curve or step > self.curve[-1][0]):
                self.curve.append((int(step), round(self.clock() - self._started, 3), float(loss)))
        if len(self.curve) > 2 * CURVE_ROWS:
            self.curve = self.curve[::2]

    def _see_progress(self, match: re.Match[str]) -> None:
        groups = match.groupdict()
        if (percent := number(groups.get("percent") or "")) is not None:
            share: float | None = percent / 100
        else:
            done, total = number(groups.get("done") or ""), number(groups.get("total") or "") or self._total
            share = done / total if done is not None and total else None
        if share is not None:
            self.share = min(max(float(share), 0.0), 1.0)


def _last(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    found = None
    for found in pattern.finditer(text):  # noqa: B007 -- the last one is wanted
        pass
    return found


def number(text: str) -> int | float | None:
    """ "30,000" and "30_000" are whole numbers, "1.5e-3" is none; None for what is no number."""
    plain = text.strip().replace(",", "").replace("_", "")
    try:
        return int(plain)
    except ValueError:
        try:
            return float(plain)
        except ValueError:
            return None
