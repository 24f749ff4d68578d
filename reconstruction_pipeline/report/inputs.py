"""What a report is made of: the artifacts of the stages reached, and what stopped the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from reconstruction_pipeline.artifacts import Artifact
from reconstruction_pipeline.artifacts.failure import StageFailure

# The stages in the order of the line, with their names for people.
STAGES: Mapping[str, str] = {
    "source_video": "Source",
    "keyframes": "Keyframes",
    "camera_poses": "Camera poses",
    "depth_maps": "Depth maps",
    "gaussian_splats": "Gaussian splats",
    "mesh": "Mesh",
    "compressed_splats": "Compressed splats",
}

# Without these there is no scene; the others only warn when they end without a result.
ESSENTIAL = ("source_video", "keyframes", "camera_poses", "gaussian_splats")


@dataclass(frozen=True)
class ReportInputs:
    """Everything the report is drawn from.

    `artifacts`: stage name -> artifact, of the stages reached only (a failed verdict may be among them).
    `failures`: stages that ended without an artifact. `versions`: package -> version.
    `links`: deliverable name -> link relative to the report, e.g. "viewer.html" -> "viewer.html".
    """

    key: str
    preset: str
    artifacts: Mapping[str, Artifact]
    failures: Mapping[str, StageFailure] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
