"""The ladder: which options to try, in which order."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from reconstruction_pipeline.stages.poses.first_try import OVERLAP, FirstTry, choose
from reconstruction_pipeline.stages.poses.settings import PoseSettings

# Photo sets larger than this are never matched exhaustively.
EXHAUSTIVE_LIMIT = 200
TURNTABLE = "turntable"


@dataclass(frozen=True)
class Rung:
    """Options of one attempt; plain values, sent to the worker as JSON.

    extractor: "fast" (OpenCV's SIFT, by contrast) or "thorough" (COLMAP's).
    peak_threshold: of the difference of Gaussians, for images of 0 to 1.
    affine: elliptical regions and descriptors pooled over scales (for views far apart).
    overlap, similar, exhaustive_up_to: as in `PoseSettings`; `exhaustive` compares all pairs whatever their number.
    mapper: "incremental", "global" or "turntable".
    init_*: what the first pair of the incremental mapper must offer.
    guided: look for more matches along the epipolar lines of pairs that have few.
    same_features: take over the features and matches of the rung before.
    scale: of the pictures in which "fast" features are looked for.
    """

    name: str
    features: int
    extractor: str
    peak_threshold: float
    overlap: int
    similar: int
    exhaustive_up_to: int
    exhaustive: bool = False
    affine: bool = False
    mapper: str = "incremental"
    init_min_tri_angle: float = 12.0
    init_min_inliers: int = 100
    abs_pose_min_inliers: int = 30
    guided: bool = False
    same_features: bool = False
    scale: float = 1.0


def ladder(settings: PoseSettings, ordered: bool, first: FirstTry | None = None) -> tuple[Rung, ...]:
    """The rungs in order: each adds to what the one before looked at, or looks at it in another way.

    `first`: what the first of them does, as the frames say; without it, what it does when nothing is known of them.

    Guided matching comes last: it finds more matches, and less precise ones. Measured: on a video of blur all through
    61 of 64 images in place of 50, and on weak texture twice the error of the path.
    """
    first = first or choose(None, settings, ordered)
    quick = Rung(
        name="quick",
        features=first.features,
        extractor="fast",
        peak_threshold=0.0067,
        overlap=first.overlap,
        similar=settings.similar,
        exhaustive_up_to=settings.exhaustive_up_to,
        scale=first.scale,
    )
    more = replace(
        quick,
        name="more features and pairs",
        features=max(8192, settings.features or 0),
        extractor="thorough",
        peak_threshold=0.004,
        affine=not ordered,  # ten times the work; the frames of a video are never far apart
        overlap=2 * (settings.overlap or OVERLAP),
        similar=2 * settings.similar,
    )
    every = replace(more, name="every pair", exhaustive=True, same_features=True)
    whole = replace(every, name="global mapper", mapper="global")
    relaxed = replace(
        every, name="relaxed first pair", init_min_tri_angle=4.0, init_min_inliers=50, abs_pose_min_inliers=15
    )
    guided = replace(relaxed, name="guided matching", guided=True)
    return quick, more, every, whole, relaxed, guided


def turntable_rung(settings: PoseSettings, ordered: bool) -> Rung:
    """The last of all, for those who said that it is a turntable: the matches of the last rung of the ladder, and a
    circle to start from.
    """
    return replace(ladder(settings, ordered)[-1], name=TURNTABLE, mapper=TURNTABLE, guided=False)


def can_help(rung: Rung, images: int, last: dict[str, Any]) -> bool:
    """Whether a rung differs from the last attempt in anything that matters to it.

    `last`: the worker's result: pairs looked at, pairs that matched, and whether matches contradicted the poses.
    Against those only another way of putting the same pairs together helps.
    """
    if last.get("folded"):
        return rung.mapper == "global"
    everything = images * (images - 1) // 2
    if rung.name == "every pair":
        return last["pairs"] < everything and images <= EXHAUSTIVE_LIMIT
    if rung.same_features:
        return last["verified_pairs"] >= 2
    return True


def why_next(last: dict[str, Any], registered: int, images: int, folded: bool) -> str:
    """Why the attempt `last` was not enough, in a few words for the record."""
    if folded:
        return "matches contradict the poses"
    if not registered:
        return f"no model ({last['verified_pairs']} of {last['pairs']} pairs matched)"
    return f"{registered} of {images} images registered"
