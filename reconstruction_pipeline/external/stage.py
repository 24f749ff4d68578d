"""What a pipeline stage is handed to run a program, and what it gets back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reconstruction_pipeline.external.descriptor import Program


@dataclass(frozen=True)
class ExternalStage:
    """A program, and what the deployment gives it: arguments of docker-py's `create` and variables of its profile.

    `failed_logs`: folder that takes the log of an attempt whose workspace is thrown away; "" for none.
    """

    program: Program
    container_kwargs: Mapping[str, Any] = field(default_factory=dict)
    container_environment: tuple[str, ...] = ()
    failed_logs: str = ""

    @property
    def who(self) -> str:
        """What sentences call it."""
        return f"the program '{self.program.name}'"

    def identity(self) -> dict[str, Any]:
        """For lineage and metrics: which program, under which licence, by which descriptor."""
        program = self.program
        return {
            "name": program.name,
            "licence": program.licence,
            "commercial_use": program.commercial_use,
            "verified": program.verified,
            "run_in": program.run_in,
            "image": program.container.image if program.container and program.run_in == "container" else "",
            "descriptor": program.digest,
        }


@dataclass(frozen=True)
class Outcome:
    """What came of it: `results` by format, `reported` by its patterns, `curve` of (step, seconds, loss)."""

    results: Mapping[str, Path]
    reported: Mapping[str, Any]
    curve: tuple[tuple[int, float, float], ...]
    seconds: float
    peak_rss_mb: float | None
    log_bytes: int
    log_left_out: int
    resumed_from: str = ""

    def metrics(self, stage: ExternalStage) -> dict[str, Any]:
        """What every external stage adds to its artifact's metrics."""
        return {
            "backend": stage.program.backend,
            "fallback_level": 0,
            "external": stage.identity(),
            "external_seconds": round(self.seconds, 2),
            "external_peak_rss_mb": self.peak_rss_mb,
            "external_log_bytes": self.log_bytes,
            "external_log_left_out_bytes": self.log_left_out,
            "external_resumed_from": self.resumed_from or None,
            **{f"external_{name}": value for name, value in self.reported.items()},
        }
