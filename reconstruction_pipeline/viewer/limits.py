"""How far a visitor may go, and how: so that nobody is lost outside the scene or under its ground."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.artifacts.colmap import ColmapModel
from reconstruction_pipeline.viewer.camera_path import TO_VIEWER, focus_depths

Array = npt.NDArray[np.float64]

MARGIN = 0.6  # of the distance at which the cameras look, beyond what they saw and where they were
GROUND = 0.98  # this share of the points lies above the ground
ONE_THING = 0.6  # of the distance at which the cameras look


@dataclass(frozen=True)
class Limits:
    """Where the viewer's camera may be, in the viewer's world (y-up).

    `low`, `high` (3,) are corners of a box around the captured cameras and the bulk of the points; its floor is the
    ground or the lowest captured camera, whichever is lower. `reach` is the median distance at which the cameras
    look, world units. `orbit`: they looked at one thing, so dragging turns around it; else it looks around.
    """

    low: Array
    high: Array
    reach: float
    orbit: bool


def limits_of(model: ColmapModel) -> Limits:
    """The limits of a model with at least one image."""
    depths = focus_depths(model)
    reach = float(np.median(depths))
    centers = model.centers
    targets = centers + np.array([image.rotation[2] for image in model.images]) * depths[:, None]
    low, high = centers.min(axis=0), centers.max(axis=0)
    ground = high[1] + (0.0 if len(model.xyz) else MARGIN * reach)
    if len(model.xyz):
        low = np.minimum(low, np.quantile(model.xyz, 1.0 - GROUND, axis=0))
        high = np.maximum(high, np.quantile(model.xyz, GROUND, axis=0))
        ground = high[1]
    low, high = low - MARGIN * reach, high + MARGIN * reach
    high[1] = ground  # y-down: the ground is the largest y
    corners = np.stack([low, high]) * TO_VIEWER
    spread = float(np.linalg.norm(targets - targets.mean(axis=0), axis=1).mean())
    return Limits(corners.min(axis=0), corners.max(axis=0), reach, spread <= ONE_THING * reach)
