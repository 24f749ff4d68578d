"""Progress on a terminal as bars, elsewhere as plain lines; opened before anything redirects output."""

from __future__ import annotations

import os
import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

LINE_SECONDS = 15.0


class TerminalProgress:
    """A bar for each part of the work; a context manager.

    Writes to a duplicate of standard error, so that it still reaches the terminal when a step's own
    output is captured.
    """

    def __init__(self) -> None:
        self._stream = os.fdopen(os.dup(sys.stderr.fileno()), "w", buffering=1)
        self.console = Console(file=self._stream, highlight=False)
        self._bars = (
            Progress(
                SpinnerColumn(),
                TextColumn("{task.description:<18}"),
                BarColumn(bar_width=28),
                TextColumn("{task.percentage:>3.0f} %"),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(compact=True),
                TextColumn("{task.fields[note]}", style="dim"),
                console=self.console,
            )
            if self._stream.isatty()
            else None
        )
        self._tasks: dict[str, TaskID] = {}
        self._last: dict[str, float] = {}

    def __enter__(self) -> TerminalProgress:
        if self._bars:
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars:
            self._bars.stop()
        self._stream.flush()

    def report(self, stage: str, done: float, total: float, note: str = "") -> None:
        """Move the bar of `stage`, or print a line when it begins, ends, or 15 s after the last."""
        if self._bars:
            if stage not in self._tasks:
                self._tasks[stage] = self._bars.add_task(stage, total=total or None, note=note)
            self._bars.update(self._tasks[stage], completed=done, total=total or None, note=note)
            return
        now = time.monotonic()
        if stage in self._last and now - self._last[stage] < LINE_SECONDS and done < total:
            return
        if self._last.get(stage) == float("inf"):
            return
        self._last[stage] = float("inf") if total and done >= total else now
        share = f"{100 * done / total:3.0f} %" if total else f"{done:.0f}"
        print(f"{stage}: {share} {note}".rstrip(), file=self._stream, flush=True)

    def say(self, text: str) -> None:
        """Print a line above the bars."""
        self.console.print(text)
