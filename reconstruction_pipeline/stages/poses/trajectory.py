"""Does the camera of a video move on, or jump?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from reconstruction_pipeline.artifacts.colmap import ColmapModel

# Times the median speed; keyframes lie about one share of new picture apart, so that real ones stay within five.
MAX_SPEED, MAX_TURN = 10.0, 10.0
# Degrees between neighbouring keyframes below which a turn is no jump, however calm the rest.
MIN_TURN_DEG = 30.0
MIN_STEPS = 6


@dataclass(frozen=True)
class Jump:
    """Between two neighbouring placed keyframes: times in seconds; speed and turn over their medians."""

    first: str
    second: str
    first_s: float
    second_s: float
    speed: float
    turn: float


def find_jumps(model: ColmapModel, times_s: Mapping[str, float]) -> list[Jump]:
    """Neighbouring images in time between which the camera moved or turned many times faster than usual.

    `times_s`: when each image was taken; those without a time are left out. Between images further apart in time,
    more motion is expected. Empty for fewer than MIN_STEPS steps: nothing to compare with.
    """
    images = sorted((i for i in model.images if i.name in times_s), key=lambda i: (times_s[i.name], i.name))
    if len(images) <= MIN_STEPS:
        return []
    times = np.array([times_s[i.name] for i in images])
    gaps = np.diff(times)
    # A long pause allows for one step, not for many: keyframes are chosen by motion.
    usual = float(np.median(gaps)) or 1.0
    gaps = np.clip(gaps, usual, 4 * usual)
    steps = np.linalg.norm(np.diff(np.array([i.center for i in images]), axis=0), axis=1)
    turned = [a.rotation @ b.rotation.T for a, b in pairwise(images)]
    angles = np.degrees(np.arccos(np.clip([(np.trace(r) - 1) / 2 for r in turned], -1, 1)))
    speed, turn = (values / gaps / max(float(np.median(values / gaps)), 1e-12) for values in (steps, angles))
    jumps = (speed > MAX_SPEED) | ((turn > MAX_TURN) & (angles > MIN_TURN_DEG))
    return [
        Jump(images[k].name, images[k + 1].name, times[k], times[k + 1], float(speed[k]), float(turn[k]))
        for k in np.flatnonzero(jumps)
    ]
