"""The ladder of attempts: what COLMAP is asked to do on each, and why a further one is taken."""

from __future__ import annotations

from dataclasses import dataclass

from reconstruction_pipeline.stages.poses.settings import PoseSettings


@dataclass(frozen=True)
class Rung:
    """Options of one attempt; plain values, sent to the worker as JSON.

    first_octave: -1 doubles the image before looking for features, None lets the texture of the images decide.
    init_*: what the first pair of the incremental mapper must offer.
    """

    name: str
    features: int
    first_octave: int | None
    peak_threshold: float
    overlap: int
    similar: int
    exhaustive_up_to: int
    init_min_tri_angle: float
    init_min_inliers: int
    abs_pose_min_inliers: int


def ladder(settings: PoseSettings) -> tuple[Rung, ...]:
    """The rungs in order. The second is for weak texture and little overlap: more of everything, relaxed start.

    No guided matching: on a CPU it took over a second a pair at 4500 features.
    """
    first = Rung(
        name="quick",
        features=settings.features,
        first_octave=None,
        peak_threshold=0.0067,
        overlap=settings.overlap,
        similar=settings.similar,
        exhaustive_up_to=settings.exhaustive_up_to,
        init_min_tri_angle=12.0,
        init_min_inliers=100,
        abs_pose_min_inliers=30,
    )
    thorough = Rung(
        name="more features, more pairs, relaxed start",
        features=max(4096, settings.features),
        first_octave=-1,
        peak_threshold=0.004,
        overlap=2 * settings.overlap,
        similar=2 * settings.similar,
        exhaustive_up_to=settings.exhaustive_up_to,
        init_min_tri_angle=4.0,
        init_min_inliers=50,
        abs_pose_min_inliers=20,
    )
    return first, thorough
