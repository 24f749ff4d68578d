"""Metres from a length that somebody measured: a distance, the length of the way, or the height of the camera."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.artifacts.colmap import ColmapModel
from reconstruction_pipeline.artifacts.errors import UsageError
from reconstruction_pipeline.artifacts.verdict import Gate
from reconstruction_pipeline.stages.poses.places import Places
from reconstruction_pipeline.stages.poses.settings import PoseSettings

Array = npt.NDArray[np.float64]

# A floor is a layer this thin, as a share of the distance of the points, that holds this share of them.
LAYER, MIN_SHARE = 0.02, 0.1


@dataclass(frozen=True)
class KnownScale:
    """`scale` is metres per unit, or None with the reason in the gate; `source` names the setting it comes from."""

    scale: float | None
    source: str
    gate: Gate


def check_known_length(settings: PoseSettings, places: Places | None = None) -> None:
    """Raise `UsageError` where the settings cannot mean anything, if known for these keyframes; costs nothing, so ask
    first.
    """
    given = [settings.camera_height_m, settings.known_distance, settings.path_length_m]
    if sum(value is not None for value in given) > 1:
        raise UsageError("camera_poses: give one of camera_height_m, known_distance and path_length_m, not several.")
    lengths = [settings.camera_height_m, settings.path_length_m, (settings.known_distance or (None, None, None))[2]]
    if any(length is not None and not 0 < float(length) < 1e6 for length in lengths):
        raise UsageError("camera_poses: a known length must be a positive number of metres.")
    if places is not None and settings.known_distance is not None:
        for text in settings.known_distance[:2]:
            places.check(text)


def known_scale(model: ColmapModel, places: Places, ordered: bool, settings: PoseSettings) -> KnownScale | None:
    """Metres per unit of the upright, y-down `model` from the settings; None when they name no length.

    `ordered` says that the order of the keyframes is that of a way.
    """
    centers = {image.name: image.center for image in model.images}
    if settings.known_distance is not None:
        first, second, metres = settings.known_distance
        a, b = places.center(model, first), places.center(model, second)
        if a is None or b is None:
            lost = first if a is None else second
            return _unknown("known_distance", f"'{lost}' was not placed, so its distance is not known")
        return _known("known_distance", metres, float(np.linalg.norm(a - b)))
    if settings.path_length_m is not None:
        if not ordered:
            return _unknown("path_length_m", "photos have no order, so there is no way whose length could be known")
        if places.names[0] not in centers or places.names[-1] not in centers:
            return _unknown("path_length_m", "the first or the last keyframe was not placed, so the way is not whole")
        way = np.array([centers[name] for name in places.names if name in centers])
        return _known(
            "path_length_m", settings.path_length_m, float(np.linalg.norm(np.diff(way, axis=0), axis=1).sum())
        )
    if settings.camera_height_m is not None:
        height = height_over_floor(model)
        if height is None:
            return _unknown("camera_height_m", "no floor or table was found under the camera")
        return _known("camera_height_m", settings.camera_height_m, height)
    return None


def height_over_floor(model: ColmapModel) -> float | None:
    """Median height of the cameras of an upright, y-down model over the layer below them that most points lie in."""
    eye = float(np.median(model.centers[:, 1]))
    below = np.sort(model.xyz[model.xyz[:, 1] > eye, 1])
    if len(below) < 50:
        return None
    thickness = LAYER * float(np.median(np.linalg.norm(model.xyz - np.median(model.centers, axis=0), axis=1)))
    counts = np.searchsorted(below, below + thickness) - np.arange(len(below))
    row = int(np.argmax(counts))
    if counts[row] < MIN_SHARE * len(model.xyz):
        return None
    return float(np.median(below[row : row + counts[row]])) - eye


def _known(source: str, metres: float, length: float) -> KnownScale:
    if length <= 0:
        return _unknown(source, "both places are the same")
    message = f"The scene is in metres by {source} ({metres:g} m)."
    return KnownScale(metres / length, source, Gate("known_length", True, "warn", message, metres))


def _unknown(source: str, why: str) -> KnownScale:
    advice = "Give another known length."
    return KnownScale(
        None, source, Gate("known_length", False, "warn", f"{source} was not used: {why}.", advice=advice)
    )
