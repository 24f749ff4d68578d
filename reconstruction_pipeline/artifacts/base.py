"""What every artifact is: a folder of standard files, its numbers and its verdict.

Artifacts are lazy. They hold where their files are and read them when asked, so that a
step's memory is what the step uses and not what the scene weighs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from reconstruction_pipeline.artifacts.errors import InvalidArtifact
from reconstruction_pipeline.artifacts.verdict import Verdict


@dataclass(frozen=True)
class Provenance:
    """How an artifact came to be: versions of its inputs by asset name, the stage's settings, code and run."""

    inputs: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    code_version: str = ""
    run_id: str = ""


@dataclass(frozen=True)
class Artifact:
    """A finished product of one stage for one video.

    `folder` is local (`pathlib.Path`): a stage's workspace before it is stored, and
    a stored version (or its local copy, for object stores) afterwards.
    `metrics` are plain numbers and strings in snake_case; they become materialization
    metadata and the stage's object in `metrics.json`.
    """

    folder: Path
    metrics: Mapping[str, Any] = field(default_factory=dict)
    verdict: Verdict = field(default_factory=Verdict)
    version: str = ""
    provenance: Provenance = field(default_factory=Provenance)

    KIND: ClassVar[str] = ""
    SCHEMA: ClassVar[int] = 1
    REQUIRED: ClassVar[tuple[str, ...]] = ()

    def path(self, *parts: str) -> Path:
        """A real path inside the artifact, for native libraries."""
        return self.folder.joinpath(*parts)

    def validate(self) -> None:
        """Raise `InvalidArtifact` when a required file is missing or empty; called before storing."""
        for name in self.REQUIRED:
            target = self.folder / name
            empty = target.is_file() and target.stat().st_size == 0
            if not target.exists() or empty or (target.is_dir() and not any(target.iterdir())):
                raise InvalidArtifact(f"{self.KIND}: '{name}' is missing or empty; run the stage again.")

    def previews(self) -> list[Path]:
        """Small pictures (at most about 60 kB each) for people: `previews/*.jpg`, in name order."""
        folder = self.folder / "previews"
        return sorted(folder.glob("*.jpg")) if folder.is_dir() else []
