"""The gates on poses that are wrong although every figure of the adjustment is good."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from reconstruction_pipeline.artifacts.verdict import Gate
from reconstruction_pipeline.stages.poses.folds import MIN_CONFLICTS, FoldEvidence
from reconstruction_pipeline.stages.poses.trajectory import Jump

DISTINCT = (
    "Two places look the same: film them with something unique in view, or film only one of them, walking slowly from"
    " one to the next."
)
STEADY = "Move slowly and evenly, and cover fast turns again from both sides."
CONNECT = "Film the way between these places again, slowly, so that each view shares most of the one before."
ONE_LENS = "Film with one lens and no zoom."
# Over the longest side. Bounds of the estimate: from ultra-wide to short tele, where EXIF does not know better.
FOCAL_RANGE = (0.4, 3.0)
USUAL_FOCAL = (0.5, 2.5)


def fold_gate(evidence: FoldEvidence) -> Gate:
    """Blocks when matches contradict the poses (`folds`)."""
    conflicts = len(evidence.broken) + len(evidence.missing)
    if not evidence.folded:
        tested = evidence.strong + evidence.overlapping
        message = f"Of {tested} image pairs put to the test, {conflicts} contradict the poses."
        return Gate("fold", True, "block", message, conflicts, MIN_CONFLICTS)
    message = (
        f"{len(evidence.broken)} image pairs with strong matches were put where they cannot match, and"
        f" {len(evidence.missing)} that should match do not, around {some(evidence.images())}:"
        " different places were taken for one."
    )
    return Gate("fold", False, "block", message, conflicts, MIN_CONFLICTS, DISTINCT)


def stray_gate(strays: Sequence[str]) -> Gate:
    """Warns of images that were left out because they contradict the rest."""
    if not strays:
        return Gate("stray_images", True, "warn", "Every image agrees with its best matches.", 0, 0)
    message = f"{len(strays)} images whose best matches contradict their poses were dropped: {some(strays)}."
    return Gate("stray_images", False, "warn", message, len(strays), 0, STEADY)


def one_piece_gate(joins: Sequence[Mapping[str, Any]], left: Sequence[Sequence[str]]) -> Gate:
    """Warns of parts of the path that were reconstructed, and could not be joined to the rest.

    `joins`: what was joined, as `joining.join_parts` records it; `left`: names of the images of each other part.
    """
    joined = "".join(
        f" {some(join['images'])} were joined to it by {join['inliers']} points seen from both sides." for join in joins
    )
    if not left:
        return Gate("one_piece", True, "warn", f"The camera path is one piece.{joined}", 0, 0)
    others = "; ".join(some(names) for names in left)
    message = (
        f"{sum(map(len, left))} images belong to {len(left)} other parts of the path that do not meet it: {others}."
    )
    return Gate("one_piece", False, "warn", message + joined, len(left), 0, CONNECT)


def external_gate(failure: str) -> Gate:
    """Warns when the configured external stage was needed and broke down."""
    return Gate("external_stage", False, "warn", failure, None, None, "Look into external.log.")


def trajectory_gate(jumps: Sequence[Jump]) -> Gate:
    """Warns of jumps in a video's camera path."""
    if not jumps:
        return Gate("trajectory", True, "warn", "The camera path is continuous.", 0, 0)
    where = some([f"{j.first} ({j.first_s:.1f} s) and {j.second} ({j.second_s:.1f} s)" for j in jumps], 3)
    message = f"The camera path jumps {len(jumps)} times: between {where}."
    return Gate("trajectory", False, "warn", message, len(jumps), 0, STEADY)


def focal_gates(ratio: float, allowed: tuple[float, float]) -> list[Gate]:
    """`ratio`: focal length over longest side; `allowed`: the bounds it was estimated within (near EXIF's, if any).

    At a bound the estimate ran away, and the model is bent to fit it.
    """
    sane = 1.02 * allowed[0] < ratio < 0.98 * allowed[1]
    low, high = USUAL_FOCAL if allowed == FOCAL_RANGE else (1.2 * allowed[0], 0.8 * allowed[1])
    usual = low <= ratio <= high
    said = f"The focal length is {ratio:.2f} times the longest side"
    return [
        Gate(
            "focal_sane",
            sane,
            "block",
            f"{said}." if sane else f"{said}: it ran into the bounds {allowed[0]:.2f} to {allowed[1]:.2f}.",
            ratio,
            allowed[0] if ratio < 1 else allowed[1],
            "" if sane else f"{ONE_LENS} Move sideways, and not only forwards.",
        ),
        Gate("focal_length", usual, "warn", f"{said}.", ratio, low if ratio < 1 else high, "" if usual else ONE_LENS),
    ]


def some(names: Sequence[str], most: int = 6) -> str:
    """The first few, and how many more."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}"
