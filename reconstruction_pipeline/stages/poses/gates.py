"""The numbers of a set of poses, and whether a scene may be built on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from reconstruction_pipeline.artifacts.colmap import ColmapModel
from reconstruction_pipeline.artifacts.verdict import Gate
from reconstruction_pipeline.stages.poses.geometry import largest_ray_angles, turning_residual

MOVE = "Move, do not only turn: walk around the subject with 60 % overlap between views."
# Of the image motion, what a turning camera leaves; real captures keep five times as much.
MIN_PARALLAX = 0.02
MORE_VIEWS = "Film slower and in good light, with more texture in view, so that neighbouring frames match."


def measure(model: ColmapModel, images: int, focal_px: float) -> dict[str, Any]:
    """Metrics of `model`, where `images` keyframes were meant for it.

    `focal_px` is the focal length before undistortion, in keyframe pixels.
    """
    seen = np.array([len(image.xy) for image in model.images]) if model.images else np.zeros(1)
    angles, parallax = largest_ray_angles(model), turning_residual(model)
    return {
        "images": images,
        "registered": len(model.images),
        "registered_ratio": round(len(model.images) / max(images, 1), 4),
        "points": len(model.xyz),
        "mean_reprojection_error_px": round(float(model.errors.mean()), 4) if len(model.errors) else None,
        "mean_track_length": round(float(model.track_lengths.mean()), 3) if len(model.xyz) else 0.0,
        "median_triangulation_angle_deg": round(float(np.median(angles)), 3) if len(angles) else 0.0,
        "median_observations_per_image": float(np.median(seen)),
        "parallax": None if parallax is None else round(parallax, 4),
        "focal_px": round(focal_px, 3),
    }


def pose_gates(
    metrics: dict[str, Any],
    unregistered: Sequence[str],
    weak: Sequence[str],
    level: int,
    rung: str,
    doubts: Sequence[Gate] = (),
) -> list[Gate]:
    """The verdict; names are those of keyframes, `doubts` the gates of `doubts.py`."""
    ratio, registered, images = metrics["registered_ratio"], metrics["registered"], metrics["images"]
    share = f"{registered} of {images} images were placed ({100 * ratio:.0f} %)"
    gates = [
        _at_least("registered", ratio, 0.5, "block", f"{share}.", MORE_VIEWS),
        _at_least("mostly_registered", ratio, 0.8, "warn", f"{share}{_listed('without', unregistered)}.", MORE_VIEWS),
        Gate(
            "weak_images",
            not weak,
            "warn",
            f"{len(weak)} images with few points were dropped{_listed('', weak)}.",
            len(weak),
            0,
            MORE_VIEWS if weak else "",
        ),
        _at_least("points", metrics["points"], 1000, "block", f"{metrics['points']} points were found.", MORE_VIEWS),
        _at_least(
            "observations",
            metrics["median_observations_per_image"],
            50,
            "block",
            f"The median image sees {metrics['median_observations_per_image']:.0f} points.",
            MORE_VIEWS,
        ),
        _at_least(
            "track_length",
            metrics["mean_track_length"],
            3.0,
            "block",
            f"A point is seen by {metrics['mean_track_length']:.1f} images on average.",
            MORE_VIEWS,
        ),
        _reprojection(metrics["mean_reprojection_error_px"]),
        _triangulation(metrics["median_triangulation_angle_deg"], metrics["parallax"]),
        Gate(
            "first_settings",
            level == 0,
            "warn",
            "The first settings sufficed."
            if level == 0
            else f"The first settings did not suffice; poses come from: {rung}.",
            level,
            0,
            "" if level == 0 else MORE_VIEWS,
        ),
        *doubts,
    ]
    return _advised_once(gates)


def _triangulation(angle_deg: float, parallax: float | None) -> Gate:
    """Rays must meet under an angle, and that angle must be real: not one that turning alone explains."""
    if parallax is not None and parallax < MIN_PARALLAX:
        message = f"Turning in place explains all but {100 * parallax:.1f} % of the image motion."
        return Gate("triangulation_angle", False, "block", message, parallax, MIN_PARALLAX, MOVE)
    message = f"The median point is seen under at most {angle_deg:.1f} degrees."
    return _at_least("triangulation_angle", angle_deg, 2.0, "block", message, MOVE)


def _advised_once(gates: list[Gate]) -> list[Gate]:
    """The same advice belongs to the first of the failed gates it answers: people read them in a row."""
    given: set[str] = set()
    result = []
    for gate in gates:
        result.append(replace(gate, advice="") if gate.advice in given else gate)
        given.add(gate.advice)
    return result


def _reprojection(error: float | None) -> Gate:
    good = error is not None and error <= 1.5
    said = "not known" if error is None else f"{error:.2f} px"
    return Gate(
        "reprojection_error",
        good,
        "block",
        f"Points project {said} from where they are seen, on average.",
        error,
        1.5,
        "" if good else "Lock focus and zoom, and avoid moving objects.",
    )


def _at_least(name: str, value: float, threshold: float, severity: Any, message: str, advice: str) -> Gate:
    passed = value >= threshold
    return Gate(name, passed, severity, message, float(value), threshold, "" if passed else advice)


def _listed(word: str, names: Sequence[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - 6} more" if len(names) > 6 else ""
    return f" {word}".rstrip() + f" {', '.join(names[:6])}{more}"
