"""Are the cameras on a circle? What poses say of a turntable, when it was said that there is one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.artifacts.colmap import ColmapModel
from reconstruction_pipeline.artifacts.verdict import Gate
from reconstruction_pipeline.stages.poses.candidates import Climb
from reconstruction_pipeline.stages.poses.orientation import Gravity
from reconstruction_pipeline.stages.poses.rungs import TURNTABLE

Array = npt.NDArray[np.float64]

# How far cameras may be from the circle that they were put on, as a share of its radius; right ones stay within a
# fifth of that.
MOST_OFF = 0.05
ADVICE = (
    "Film one turn of the turntable with a camera that stands still, all of the object in view, before a plain"
    " background; or walk around it, without --turntable."
)


@dataclass(frozen=True)
class Circle:
    """`down` (3,): the axis, downwards, in the model's world. `off`: how much the axis moves before the camera, root
    mean square, as a share of the camera's distance from it: 0 on a turntable, whatever its speed.
    """

    down: Array
    off: float


def circle_of(model: ColmapModel) -> Circle | None:
    """The axis that all cameras see in the same place, as nearly as there is one; None for fewer than three.

    On a turntable, all views are one but for a rotation about the axis: its direction and its points are then the
    same in every camera. Both are found by least squares, the second by a system of six unknowns.
    """
    if len(model.images) < 3:
        return None
    rotations = np.array([image.rotation for image in model.images])
    translations = np.array([image.translation for image in model.images])
    # The direction that turns least: rotations @ axis has the longest mean.
    _, _, vt = np.linalg.svd(rotations.mean(axis=0))
    axis = vt[0]
    seen = rotations @ axis
    if seen.mean(axis=0)[1] < 0:
        axis, seen = -axis, -seen
    # rotations @ point + translations = the same for all; along the axis any point will do, and the nearest is taken.
    count = len(rotations)
    system = np.concatenate([rotations, np.broadcast_to(-np.eye(3), (count, 3, 3))], axis=2).reshape(-1, 6)
    solution, *_ = np.linalg.lstsq(system, -translations.ravel(), rcond=1e-9)
    point, there = solution[:3], solution[3:]
    away = model.centers - point
    radius = float(np.linalg.norm(away - np.outer(away @ axis, axis), axis=1).mean())
    moved = np.linalg.norm(rotations @ point + translations - there, axis=1) / max(radius, 1e-12)
    tilted = np.linalg.norm(seen - seen.mean(axis=0), axis=1)
    return Circle(axis, float(np.sqrt((moved**2).mean() + (tilted**2).mean())))


def axis_gravity(model: ColmapModel) -> Gravity | None:
    """Gravity along the axis of the turntable; None where the cameras are not on a circle."""
    circle = circle_of(model)
    if circle is None or circle.off > MOST_OFF:
        return None
    return Gravity(-circle.down, 1.0, {"turntable_off_circle": round(circle.off, 4)})


def turntable_report(found: Climb) -> tuple[dict[str, Any], Gate]:
    """Metrics and the gate of a capture that was said to be of a turntable.

    The gate blocks where the circle was the start and the adjusted cameras left it: then it was no turntable, or what
    was adjusted is not worth believing.
    """
    attempt = found.attempt()
    counts: dict[str, int] = next((a["still_features"] for a in found.attempts if a.get("still_features")), {})
    still = counts.get("still", 0) / max(counts.get("features", 0), 1)
    circle = circle_of(found.best.model)
    assumed = found.best.rung == TURNTABLE
    metrics = {
        "turntable_assumed": assumed,
        "still_features_ratio": round(still, 4),
        "off_circle_ratio": None if circle is None else round(circle.off, 5),
        "turntable": attempt.get("circle"),
    }
    left_out = f"{100 * still:.0f} % of the features stood still and were left out"
    if not assumed:
        return metrics, Gate(TURNTABLE, True, "block", f"The turntable was not needed as an assumption; {left_out}.")
    off = float("inf") if circle is None else circle.off
    good = off <= MOST_OFF
    how = f"after adjustment the cameras are {100 * off:.1f} % of its radius off it"
    message = f"The cameras were assumed on a circle around a turntable; {how}; {left_out}."
    return metrics, Gate(TURNTABLE, good, "block", message, off, MOST_OFF, "" if good else ADVICE)
