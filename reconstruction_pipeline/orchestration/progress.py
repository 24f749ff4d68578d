"""Where a step's progress goes: Dagster's log, or the terminal that the run was started from."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from reconstruction_pipeline.artifacts.progress import Progress

# Between two lines of the same part: a tenth of its time so far, within these bounds.
LOG_SECONDS = (3.0, 15.0)

_foreground: Progress | None = None


@contextmanager
def in_foreground(progress: Progress) -> Iterator[None]:
    """Steps executed in this process report to `progress` meanwhile.

    A step cannot find the terminal itself: Dagster captures its output, so `isatty()` is false there.
    """
    global _foreground
    previous, _foreground = _foreground, progress
    try:
        yield
    finally:
        _foreground = previous


def progress_for(log: Callable[[str], None]) -> Progress:
    """The foreground's progress if there is one, else Dagster's log."""
    return _foreground or LogProgress(log)


class LogProgress:
    """Logs a line when a new part of the work begins, and then every 3 seconds, later every 15.

    Every line is an event of the run; rare ones keep the event log small. `logged` reads the lines again.
    """

    def __init__(self, log: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._log, self._clock = log, clock
        self._stage, self._began, self._last = "", 0.0, float("-inf")

    def report(self, stage: str, done: float, total: float, note: str = "") -> None:
        """Log the report if it is time to."""
        now = self._clock()
        shortest, longest = LOG_SECONDS
        if stage != self._stage:
            self._stage, self._began = stage, now
        elif now - self._last < min(longest, max(shortest, (now - self._began) / 10)):
            return
        self._last = now
        share = f"{100 * done / total:.0f} %" if total else f"{done:.0f}"
        self._log(f"{stage}: {share}{' · ' + note if note else ''}")


@dataclass(frozen=True)
class Logged:
    """A line of `LogProgress`: the part of the work, how much of it is done (0 to 1; None: not known), and the note."""

    part: str
    share: float | None
    note: str


_LINE = re.compile(r"([^:\n]{1,80}): (?:(\d{1,3}) %|\d+)(?: · (.*))?")


def logged(line: str) -> Logged | None:
    """What a line of `LogProgress` said; None for any other line."""
    found = _LINE.fullmatch(line)
    if found is None:
        return None
    part, percent, note = found.groups()
    return Logged(part, None if percent is None else min(1.0, int(percent) / 100), note or "")
