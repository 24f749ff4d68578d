"""How far a visitor may go, and how: so that nobody is lost outside the scene, behind its walls or under its ground."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reconstruction_pipeline.artifacts.colmap import ColmapModel
from reconstruction_pipeline.viewer.camera_path import focus_depths

ROOM = 0.8  # of the distance at which the cameras look, around every one of them
GROUND = 0.98  # this share of the points lies above the ground
ONE_THING = 0.6  # of the distance at which the cameras look


@dataclass(frozen=True)
class Limits:
    """Where the viewer's camera may be: within `room` (world units) of a captured camera, and not below `floor`.

    A scene is only true near where it was filmed. `floor` is a height in the viewer's world (y-up): the ground, or
    the lowest captured camera where one was lower. `reach` is the median distance at which the cameras look, world
    units. `orbit`: they looked at one thing, so dragging turns around it; else it looks around.
    """

    room: float
    floor: float
    reach: float
    orbit: bool


def limits_of(model: ColmapModel) -> Limits:
    """The limits of a model with at least one image."""
    depths = focus_depths(model)
    reach = float(np.median(depths))
    targets = model.centers + np.array([image.rotation[2] for image in model.images]) * depths[:, None]
    spread = float(np.linalg.norm(targets - targets.mean(axis=0), axis=1).mean())
    lowest = float(model.centers[:, 1].max())  # y-down: the lowest is the largest
    ground = float(np.quantile(model.xyz[:, 1], GROUND)) if len(model.xyz) else lowest + ROOM * reach
    return Limits(ROOM * reach, -max(lowest, ground), reach, spread <= ONE_THING * reach)
