"""Where a step's progress goes: Dagster's log, or the terminal that the run was started from."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from reconstruction_pipeline.artifacts.progress import Progress

LOG_SECONDS = 15.0

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
    """Logs a line when a new part of the work begins, and then at most every 15 seconds.

    Every line is an event of the run; rare ones keep the event log small.
    """

    def __init__(self, log: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._log, self._clock = log, clock
        self._stage, self._last = "", float("-inf")

    def report(self, stage: str, done: float, total: float, note: str = "") -> None:
        """Log the report if it is time to."""
        now = self._clock()
        if stage == self._stage and now - self._last < LOG_SECONDS:
            return
        self._stage, self._last = stage, now
        share = f"{100 * done / total:.0f} %" if total else f"{done:.0f}"
        self._log(f"{stage}: {share}{' · ' + note if note else ''}")
