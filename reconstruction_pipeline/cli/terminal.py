"""Progress on a terminal as bars, elsewhere as plain lines; opened before anything redirects output."""

from __future__ import annotations

import os
import sys
import time
from types import TracebackType

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

LINE_SECONDS = 15.0
REFRESHES_PER_SECOND = 4  # the cores are busy with better things
WIDTH_BEFORE_NOTE = 78


class _Share(TextColumn):
    """The percentage, where a total is known."""

    def render(self, task: Task) -> Text:
        return super().render(task) if task.total else Text("     ")


class _Left(TimeRemainingColumn):
    """Time left while a part is at work."""

    def render(self, task: Task) -> Text:
        return Text() if task.stop_time or task.finished or not task.total else Text("left ") + super().render(task)


class _Spinner(SpinnerColumn):
    """Turns for the part at work only."""

    def render(self, task: Task) -> RenderableType:
        return Text(" ") if task.stop_time or task.finished else super().render(task)


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
                _Spinner(),
                TextColumn("{task.description:<18}"),
                BarColumn(bar_width=28),
                _Share("{task.percentage:>3.0f} %"),
                TimeElapsedColumn(),
                _Left(compact=True),
                TextColumn("{task.fields[note]}", style="dim"),
                console=self.console,
                refresh_per_second=REFRESHES_PER_SECOND,
                redirect_stdout=False,  # what others print is not ours to show
                redirect_stderr=False,
            )
            if self._stream.isatty()
            else None
        )
        self._tasks: dict[str, TaskID] = {}
        self._at_work: TaskID | None = None
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
            self._move(self._bars, stage, done, total, note)
            return
        now = time.monotonic()
        last = self._last.get(stage, float("-inf"))
        ended = total > 0 and done >= total
        if last == float("inf") or (now - last < LINE_SECONDS and not ended):
            return
        self._last[stage] = float("inf") if ended else now
        share = f"{100 * done / total:3.0f} % " if total else f"{done:.0f} " if done else ""
        print(f"{stage}: {share}{note}".rstrip(), file=self._stream, flush=True)

    def _move(self, bars: Progress, stage: str, done: float, total: float, note: str) -> None:
        """Update a bar, adding it when it is new; the bar before it rests from then on."""
        if stage not in self._tasks:
            self._tasks[stage] = bars.add_task(stage, total=total or None, note="")
        task = self._tasks[stage]
        if self._at_work is not None and self._at_work != task:
            bars.stop_task(self._at_work)
        self._at_work = task
        room = max(0, self.console.width - WIDTH_BEFORE_NOTE)  # a long note would squeeze every other column
        bars.update(task, completed=done, total=total or None, note=note[:room])

    def say(self, text: str) -> None:
        """Print a line above the bars."""
        self.console.print(text, soft_wrap=True)
