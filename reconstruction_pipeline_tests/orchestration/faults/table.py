"""The table of docs/reliability.md: one row a fault, written by who ran it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Row:
    """What was done, how often, what work was lost by it, and how it ended."""

    fault: str
    tried: int
    lost: str
    outcome: str


@dataclass(frozen=True)
class Fault:
    """A named fault and its experiment, which fails by raising; `where` is what it is done to."""

    name: str
    where: str  # "processes" | "services" | "files"
    act: Callable[[Any, int], Row]
    """Takes the place (`Site`, or a folder for "files") and a seed."""


def markdown(rows: Sequence[tuple[Row, float]]) -> str:
    """The rows and their seconds of wall time as a table."""
    lines = ["| fault | tried | lost work | outcome | seconds |", "| --- | --- | --- | --- | --- |"]
    lines += [f"| {row.fault} | {row.tried} | {row.lost} | {row.outcome} | {took:.0f} |" for row, took in rows]
    return "\n".join(lines) + "\n"
