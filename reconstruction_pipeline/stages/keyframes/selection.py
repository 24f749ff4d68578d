"""Which frames to keep, decided from numbers alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.stages.keyframes.analysis import Analysis
from reconstruction_pipeline.stages.keyframes.settings import KeyframeSettings

# How much of its score a frame loses at the edge of its window: even spacing against sharpness.
EDGE_PENALTY = 0.5


@dataclass(frozen=True)
class Selection:
    """`chosen` frame indices, ascending; `reasons` one a frame; `window` the motion each stands for (fraction)."""

    chosen: npt.NDArray[np.int64]
    reasons: list[str]
    scene: int
    window: float


def largest_scene(analysis: Analysis) -> int:
    """The scene with the most frames; the first of equals."""
    return int(np.argmax(np.bincount(analysis.scene))) if len(analysis.scene) else 0


def select(analysis: Analysis, settings: KeyframeSettings) -> Selection:
    """The sharpest frame of each window of equal image motion, in the largest scene.

    Windows shrink to `spacing_fraction` where there is little motion, so a camera at rest gives one frame;
    a capture without any motion gives `min_frames` spread over time (its gate refuses it, people see why).
    """
    scene = largest_scene(analysis)
    members = np.flatnonzero(analysis.scene == scene)
    reasons = np.full(len(analysis.times), "another scene", object)
    reasons[members] = "softer or less central than the chosen one"
    travel = analysis.progress[members]
    total = float(travel[-1] - travel[0]) if len(members) else 0.0
    windows = int(np.clip(np.floor(total / settings.spacing_fraction), settings.min_frames, settings.count))
    if total < settings.min_motion_fraction:
        travel = analysis.times[members] - analysis.times[members[0]]
        total = float(travel[-1])
        reasons[members] = "no motion"
    position = (travel - travel[0]) / max(total, 1e-12) * windows
    slot = np.minimum(position.astype(int), windows - 1)
    off_center = np.abs(position - slot - 0.5) * 2
    score = analysis.sharpness[members] * (1 - EDGE_PENALTY * np.minimum(off_center, 1.0))
    picks: list[int] = []
    for window in np.unique(slot):
        inside = np.flatnonzero(slot == window)
        best = int(inside[np.argmax(score[inside])])
        # Two picks on both sides of a window's edge would be near duplicates: the sharper one stays.
        if picks and position[best] - position[picks[-1]] < 0.3 and len(np.unique(slot)) > settings.min_frames:
            if score[best] <= score[picks[-1]]:
                continue
            picks.pop()
        picks.append(best)
    chosen = members[np.array(picks, int)]
    reasons[chosen] = "chosen"
    return Selection(chosen, [str(r) for r in reasons], scene, float(np.ptp(analysis.progress[members])) / windows)
