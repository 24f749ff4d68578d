"""Where a model stands in the delivered world: upright, centred, and in metres where something says how long one is."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reconstruction_pipeline.artifacts.colmap import ColmapModel
from reconstruction_pipeline.artifacts.keyframes import Keyframes
from reconstruction_pipeline.artifacts.verdict import Gate
from reconstruction_pipeline.stages.poses.geometry import Similarity, upright
from reconstruction_pipeline.stages.poses.orientation import find_gravity
from reconstruction_pipeline.stages.poses.settings import PoseSettings


@dataclass(frozen=True)
class Placement:
    """`similarity` takes COLMAP's frame to the delivered world.

    `document` is what `transform.json` keeps, `metrics` joins the stage's numbers (never a location), `gates` its
    verdict.
    """

    similarity: Similarity
    document: dict[str, Any]
    metrics: dict[str, Any] = field(default_factory=dict)
    gates: tuple[Gate, ...] = ()


def place(model: ColmapModel, keyframes: Keyframes, settings: PoseSettings, images: Path) -> Placement:
    """The placement of `model`, whose undistorted pictures lie in the folder `images`."""
    gravity = find_gravity(model, images)
    similarity = upright(model, gravity.up)
    document = {"from": "colmap", "to": "world", "unit": "arbitrary", "matrix": similarity.matrix().tolist()}
    return Placement(similarity, document, {"unit": "arbitrary", "gravity_confidence": gravity.confidence})
