"""Ctrl-C for work that runs in this process: it stops where its state can be kept."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from reconstruction_pipeline.artifacts.errors import Cancelled
from reconstruction_pipeline.artifacts.progress import Progress

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class _Interruptible:
    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self.asked = False

    def report(self, stage: str, done: float, total: float, note: str = "") -> None:
        if self.asked:
            raise Cancelled(f"{stage}: interrupted")
        self._progress.report(stage, done, total, note)


@contextmanager
def cancel_on_interrupt(progress: Progress) -> Iterator[Progress]:
    """A progress whose next report after Ctrl-C (or SIGTERM) raises `Cancelled`; a second Ctrl-C ends at once.

    A `KeyboardInterrupt` could come between two arrays of one state; a report comes when they agree.
    """
    wrapped = _Interruptible(progress)
    before = {number: signal.getsignal(number) for number in SIGNALS}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def ask(number: int, frame: FrameType | None) -> None:
        wrapped.asked = True
        restore()

    for number in SIGNALS:
        signal.signal(number, ask)
    try:
        yield wrapped
    finally:
        restore()
