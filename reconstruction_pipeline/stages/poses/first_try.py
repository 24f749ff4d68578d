"""How many features of which pictures, and how many neighbours, the first rung looks at: chosen from the frames.

All rules are plain functions of `FrameStatistics`; nothing depends on the clock or the machine. What a setting names
is taken as it is. Later rungs of the ladder look at more, whatever was chosen here.
"""

from __future__ import annotations

from dataclasses import dataclass

from reconstruction_pipeline.stages.poses.frame_statistics import FrameStatistics
from reconstruction_pipeline.stages.poses.settings import PoseSettings

# Where nothing is known of the frames; more than this is for the second rung.
FEATURES, PHOTO_FEATURES, OVERLAP = 3000, 2500, 5
# Of a video's features so many should still be in view as many keyframes later as are compared. Fewer than LEAST cost
# points and precision where everything stays in view (the sample: 0.81 mm with 3000, 0.83 with 2500, 0.90 with 2000).
STILL_SEEN, LEAST = 2400, 2500
# Below this `detail` the finest octave holds next to nothing, and half the size loses nothing, as long as its longest
# side keeps SMALLEST pixels. Above it does: at 0.34 a quarter of the points (apple), of small pictures images (desk).
SOFT, SMALLEST = 0.3, 480
# Share of the picture that may pass between two keyframes that are compared, and the fewest neighbours.
PASSED, LEAST_OVERLAP = 0.5, 3


@dataclass(frozen=True)
class FirstTry:
    """`scale`: of the pictures that features are looked for in; half leaves out SIFT's first octave. `features`: at
    most, per picture. `overlap`: following keyframes that each is compared with. `why`: a sentence for each choice.
    """

    scale: float = 1.0
    features: int = FEATURES
    overlap: int = OVERLAP
    why: tuple[str, ...] = ()


def choose(seen: FrameStatistics | None, settings: PoseSettings, ordered: bool) -> FirstTry:
    """What the first rung does; `seen` is None where the frames were not looked at, `ordered` of a video."""
    scale, why_scale = _scale(seen, settings)
    overlap, why_overlap = _overlap(seen, settings)
    features, why_features = _features(seen, settings, ordered, overlap)
    return FirstTry(scale, features, overlap, (why_scale, why_features, *([why_overlap] if ordered else [])))


def _scale(seen: FrameStatistics | None, settings: PoseSettings) -> tuple[float, str]:
    if settings.feature_scale is not None:
        return settings.feature_scale, f"pictures at {settings.feature_scale:g} of their size: as set"
    if seen is None:
        return 1.0, "pictures at their size: the frames were not looked at"
    if seen.detail < SOFT and seen.side >= 2 * SMALLEST:
        return 0.5, f"pictures at half their size: they are soft (detail {seen.detail:.2f})"
    return 1.0, f"pictures at their size: detail {seen.detail:.2f}, longest side {seen.side} px"


def _overlap(seen: FrameStatistics | None, settings: PoseSettings) -> tuple[int, str]:
    if settings.overlap is not None:
        return settings.overlap, f"{settings.overlap} neighbours: as set"
    if seen is None or seen.step is None:
        return OVERLAP, f"{OVERLAP} neighbours: motion was not looked at"
    chosen = min(max(int(PASSED / max(seen.step, 1e-6)), LEAST_OVERLAP), OVERLAP)
    return chosen, f"{chosen} neighbours: {100 * seen.step:.1f} % of the picture pass between keyframes"


def _features(seen: FrameStatistics | None, settings: PoseSettings, ordered: bool, overlap: int) -> tuple[int, str]:
    given = [settings.features, *([] if ordered else [settings.photo_features])]
    if any(count is not None for count in given):
        chosen = min(count for count in given if count is not None)
        return chosen, f"{chosen} features: as set"
    if not ordered:
        return PHOTO_FEATURES, f"{PHOTO_FEATURES} features: photos, each compared with many"
    if seen is None or seen.followed is None:
        return FEATURES, f"{FEATURES} features: motion was not looked at"
    left = seen.followed**overlap
    chosen = min(max(100 * round(STILL_SEEN / max(left, 1e-6) / 100), LEAST), FEATURES)
    return chosen, f"{chosen} features: {100 * left:.0f} % of what is seen is in view {overlap} keyframes later"
