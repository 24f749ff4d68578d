"""Which images share a camera, and what is believed of it before structure from motion."""

from __future__ import annotations

from typing import Any

from reconstruction_pipeline.artifacts.errors import MissingRequirement, UsageError
from reconstruction_pipeline.artifacts.keyframes import Keyframes
from reconstruction_pipeline.stages.poses.doubts import FOCAL_RANGE
from reconstruction_pipeline.stages.poses.lens import SUPPORTED
from reconstruction_pipeline.stages.poses.settings import PoseSettings

FEATURES = "SIFT"
# COLMAP's names of learned features; its Python package is built without what they need, and aborts when asked.
LEARNED = ("ALIKED", "LOMA", "SUPERPOINT", "DISK", "XFEAT")


def check_settings(settings: PoseSettings) -> None:
    """Raise before any work: `MissingRequirement` for learned features, `UsageError` for unknown names."""
    if settings.feature_type.upper().startswith(LEARNED):
        raise MissingRequirement(
            f"camera_poses: the features {settings.feature_type} need a COLMAP built with ONNX, which the installed"
            f" pycolmap is not; use feature_type {FEATURES}."
        )
    if settings.feature_type != FEATURES:
        raise UsageError(f"camera_poses: there are no features called {settings.feature_type}; use {FEATURES}.")
    if settings.camera_model not in SUPPORTED:
        raise UsageError(
            f"camera_poses: the camera model {settings.camera_model} is not one of {', '.join(SUPPORTED)}."
        )


def camera_groups(keyframes: Keyframes, settings: PoseSettings) -> list[dict[str, Any]]:
    """Images that share a camera: the same size, and in EXIF the same camera and focal length; one group for a video.

    Each has `names`, `longest_side` (pixels) and `camera_params`: COLMAP's start values where EXIF knows the
    focal length, else empty (COLMAP then starts at 1.2 times the longest side).
    """
    groups: dict[tuple[int, int, float, int], list[str]] = {}
    for row in keyframes.table().fillna({"focal_px": 0.0}).to_dict("records"):
        focal = float(row.get("focal_px") or 0)
        key = (int(row["width"]), int(row["height"]), round(focal, 1), int(row.get("camera") or 0))
        groups.setdefault(key, []).append(str(row["name"]))
    extra = {"SIMPLE_RADIAL": 1, "RADIAL": 2, "SIMPLE_PINHOLE": 0}.get(settings.camera_model)
    described = []
    for (width, height, focal, _), names in sorted(groups.items()):
        known = focal > 0 and extra is not None
        params = [focal, width / 2, height / 2] + [0.0] * (extra or 0) if known else []
        described.append({"names": names, "camera_params": params, "longest_side": max(width, height)})
    return described


def focal_range(groups: list[dict[str, Any]]) -> tuple[float, float]:
    """Believable focal lengths over the longest side; near EXIF's where every camera has one.

    Without bounds, scarce matches are explained by absurd lenses, and the model looks well.
    """
    known = [group["camera_params"][0] / group["longest_side"] for group in groups if group["camera_params"]]
    if len(known) < len(groups):
        return FOCAL_RANGE
    return 0.6 * min(known), 1.6 * max(known)
