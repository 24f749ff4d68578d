"""How a stage tells what it is doing, and how it is told to stop.

One protocol serves the terminal bar, the Dagster log and tests.
"""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Receives progress; may raise `errors.Cancelled` to stop the stage at that point."""

    def report(self, stage: str, done: float, total: float, note: str = "") -> None:
        """`done` of `total` units of `stage` are finished; `note` is a short live text (e.g. a loss)."""


class NullProgress:
    """Says nothing and never cancels."""

    def report(self, stage: str, done: float, total: float, note: str = "") -> None:
        """Ignore the report."""


class RecordingProgress:
    """Keeps every report, for tests; cancels once `cancel_after` reports have come."""

    def __init__(self, cancel_after: int | None = None) -> None:
        self.reports: list[tuple[str, float, float, str]] = []
        self._cancel_after = cancel_after

    def report(self, stage: str, done: float, total: float, note: str = "") -> None:
        """Record the report, or raise `Cancelled`."""
        from reconstruction_pipeline.artifacts.errors import Cancelled

        self.reports.append((stage, done, total, note))
        if self._cancel_after is not None and len(self.reports) >= self._cancel_after:
            raise Cancelled(f"{stage}: cancelled")
