"""The capture as it came in: one video file, or a folder of photos, with its identity and probe."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from reconstruction_pipeline.artifacts.base import Artifact


@dataclass(frozen=True)
class SourceVideo(Artifact):
    """`source/` holds the one video file or the photos; `probe.json` what the probe found.

    `probe.json`: `kind` ("video" | "photos"), `sha256` of the content, `name` of the original,
    and for videos `codec`, `width`, `height` (upright), `rotation_deg`, `duration_s`, `frames`, `rate_hz`.
    """

    KIND: ClassVar[str] = "source_video"
    REQUIRED: ClassVar[tuple[str, ...]] = ("source", "probe.json")

    def probe(self) -> dict[str, Any]:
        """The probe's findings."""
        result: dict[str, Any] = json.loads(self.path("probe.json").read_text())
        return result

    @property
    def is_photos(self) -> bool:
        """Whether the capture is a set of photos rather than a video."""
        return bool(self.probe()["kind"] == "photos")

    @property
    def media(self) -> Path:
        """The video file, or the folder of photos."""
        source = self.path("source")
        return source if self.is_photos else next(p for p in sorted(source.iterdir()) if p.is_file())
