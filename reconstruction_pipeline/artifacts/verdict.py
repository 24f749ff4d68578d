"""Quality gates: what was measured against which threshold, and what it means for the line.

A stage computes its gates; they are stored with the artifact, shown as asset checks,
and decide whether later stages accept the artifact.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

Severity = Literal["block", "warn"]


@dataclass(frozen=True)
class Gate:
    """One claim about an artifact, e.g. "registered_ratio" >= 0.5.

    `severity` says what a failure does: "block" stops the line, "warn" lowers the grade.
    `message` is one sentence with the measured figures; `advice` says what to film or change.
    """

    name: str
    passed: bool
    severity: Severity
    message: str
    value: float | None = None
    threshold: float | None = None
    advice: str = ""


@dataclass(frozen=True)
class Verdict:
    """All gates of one artifact."""

    gates: tuple[Gate, ...] = ()

    @classmethod
    def of(cls, gates: Iterable[Gate]) -> Verdict:
        """Collect gates in the order they were measured."""
        return cls(tuple(gates))

    @property
    def blocking(self) -> tuple[Gate, ...]:
        """Failed gates that stop the line."""
        return tuple(g for g in self.gates if not g.passed and g.severity == "block")

    @property
    def warnings(self) -> tuple[Gate, ...]:
        """Failed gates that only warn."""
        return tuple(g for g in self.gates if not g.passed and g.severity == "warn")

    @property
    def ok(self) -> bool:
        """Whether later stages may build on the artifact."""
        return not self.blocking

    def sentence(self) -> str:
        """The blocking gates in one line, with advice."""
        return " ".join(f"{g.message} {g.advice}".strip() for g in self.blocking)

    def to_json(self) -> list[dict[str, Any]]:
        """Plain dictionaries, for the manifest."""
        return [asdict(g) for g in self.gates]

    @classmethod
    def from_json(cls, rows: list[dict[str, Any]]) -> Verdict:
        """Inverse of `to_json`."""
        return cls(tuple(Gate(**row) for row in rows))
