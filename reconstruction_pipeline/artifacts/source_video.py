"""The capture as it came in: one video file, or a folder of photos, with its identity and probe."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from reconstruction_pipeline.artifacts.base import Artifact
from reconstruction_pipeline.artifacts.gps import GpsFix, read_gps

# Kinds of GPS logs beside a video.
GPS_LOGS = (".srt", ".gpx", ".csv")


@dataclass(frozen=True)
class SourceVideo(Artifact):
    """`source/` holds the one video file or the photos; `probe.json` what the probe found.

    `probe.json`: `kind` ("video" | "photos"), `sha256` of the content, `name` of the original,
    and for videos `codec`, `width`, `height` (upright), `rotation_deg`, `duration_s`, `frames`, `rate_hz`.
    Beside a video `source/` may hold its GPS log and its masks (`video_mask.<suffix>`, or a picture for every frame in
    `video_masks/`), among photos a folder `masks` (`<photo>.png`, black is ignored) and
    `gps.csv`, and `sparse/0` (a binary COLMAP model without points) where they came with poses.
    `gps.csv` at the top is what is known of positions from any of these (`artifacts.gps`).
    """

    KIND: ClassVar[str] = "source_video"
    REQUIRED: ClassVar[tuple[str, ...]] = ("source", "probe.json")
    GPS: ClassVar[str] = "gps.csv"

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
        return (
            source
            if self.is_photos
            else next(p for p in sorted(source.iterdir()) if p.is_file() and p.suffix.lower() not in GPS_LOGS)
        )

    @property
    def video_masks(self) -> list[Path]:
        """The mask video alone, or a picture for every frame of the video, in order; empty when none came with it."""
        source = self.path("source")
        return sorted(source.glob("video_mask.*")) or sorted(source.glob("video_masks/*"))

    def gps(self) -> list[GpsFix]:
        """Positions by photo name or time; empty when none came with the capture."""
        return read_gps(self.path(self.GPS))
