"""Where a model stands in the delivered world: upright, centred, and in metres where something says how long one is."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from reconstruction_pipeline.artifacts.colmap import ColmapModel
from reconstruction_pipeline.artifacts.keyframes import Keyframes
from reconstruction_pipeline.artifacts.verdict import Gate
from reconstruction_pipeline.stages.poses.circle import axis_gravity
from reconstruction_pipeline.stages.poses.geometry import Similarity, move, upright
from reconstruction_pipeline.stages.poses.georeference import georeference
from reconstruction_pipeline.stages.poses.known_length import known_scale
from reconstruction_pipeline.stages.poses.orientation import find_gravity
from reconstruction_pipeline.stages.poses.places import Places
from reconstruction_pipeline.stages.poses.settings import PoseSettings

# How far gravity found from pictures may be off, degrees, when its evidence is strong and when it is not.
TILT_DEG, WEAK_TILT_DEG, STRONG = 2.0, 6.0, 0.2


@dataclass(frozen=True)
class Placement:
    """`similarity` takes COLMAP's frame to the delivered world.

    `document` is what `transform.json` keeps, `metrics` joins the stage's numbers, `gates` its verdict: none of them
    says where on Earth. `origin` does: it is `georeference.json`, which no deliverable contains.
    """

    similarity: Similarity
    document: dict[str, Any]
    metrics: dict[str, Any] = field(default_factory=dict)
    gates: tuple[Gate, ...] = ()
    origin: dict[str, Any] | None = None

    def write(self, workspace: Path) -> None:
        """`transform.json`, and `georeference.json` where the scene has a place on Earth."""
        (workspace / "transform.json").write_text(json.dumps(self.document, indent=1) + "\n")
        if self.origin:
            (workspace / "georeference.json").write_text(json.dumps(self.origin, indent=1) + "\n")


def place(model: ColmapModel, keyframes: Keyframes, settings: PoseSettings, images: Path) -> Placement:
    """The placement of `model`, whose undistorted pictures lie in the folder `images`.

    On a turntable, up is its axis.
    Upright and centred, with the cameras within about one unit, unless a length is known or GPS came with the
    capture: then in metres, with GPS also x east, y down, z north.
    """
    gravity = (axis_gravity(model) if settings.turntable else None) or find_gravity(model, images)
    similarity = upright(model, gravity.up)
    standing = move(model, similarity)
    known = known_scale(standing, Places.of(keyframes), bool(keyframes.camera()["ordered"]), settings)
    scale = known.scale if known else None
    fixes = keyframes.gps() if settings.use_gps else []
    tilt = TILT_DEG if gravity.confidence >= STRONG else WEAK_TILT_DEG
    on_earth = georeference(standing, fixes, tilt, scale)
    if on_earth.similarity is not None:
        similarity = combined(on_earth.similarity, similarity)
    elif scale is not None:
        similarity = combined(Similarity(scale, np.eye(3), np.zeros(3)), similarity)
    metric = on_earth.similarity is not None or scale is not None
    scale_from = known.source if known and scale is not None else "gps" if on_earth.similarity else None
    metrics = {
        "unit": "metre" if metric else "arbitrary",
        "scale_from": scale_from,
        "gravity_confidence": gravity.confidence,
        **on_earth.metrics,
    }
    document = {
        "from": "colmap",
        "to": "world",
        "unit": metrics["unit"],
        "axes": "x east, y down, z north" if on_earth.similarity is not None else "y down",
        "matrix": similarity.matrix().tolist(),
        "gravity": {"confidence": gravity.confidence, **gravity.evidence},
    }
    gates = (*((known.gate,) if known else ()), *on_earth.gates)
    return Placement(similarity, document, metrics, gates, on_earth.document)


def combined(after: Similarity, before: Similarity) -> Similarity:
    """`after` applied to what `before` gives."""
    rotation = after.rotation @ before.rotation
    translation = after.scale * after.rotation @ before.translation + after.translation
    return Similarity(after.scale * before.scale, rotation, translation)
