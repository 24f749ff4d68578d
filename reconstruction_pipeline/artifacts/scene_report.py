"""What a person reads about a scene, and what a program reads."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, ClassVar

from reconstruction_pipeline.artifacts.base import Artifact


@dataclass(frozen=True)
class SceneReport(Artifact):
    """`report.html` (one offline file) and `metrics.json` (one object per stage, and the grade)."""

    KIND: ClassVar[str] = "scene_report"
    REQUIRED: ClassVar[tuple[str, ...]] = ("report.html", "metrics.json")

    def all_metrics(self) -> dict[str, Any]:
        """The content of `metrics.json`."""
        result: dict[str, Any] = json.loads(self.path("metrics.json").read_text())
        return result
