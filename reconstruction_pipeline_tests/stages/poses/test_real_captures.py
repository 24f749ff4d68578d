"""Poses of real captures: every keyframe placed where it must be, metres by GPS, or a refusal that says why."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from reconstruction_pipeline.artifacts import CameraPoses, Keyframes
from reconstruction_pipeline.artifacts.errors import StageFailed
from reconstruction_pipeline.presets import PRESETS
from reconstruction_pipeline.stages.ingest import ingest
from reconstruction_pipeline.stages.keyframes import select_keyframes
from reconstruction_pipeline.stages.poses import PoseSettings, estimate_poses
from reconstruction_pipeline_tests.stages.captures import real_capture

pytestmark = [pytest.mark.slow, pytest.mark.soak, pytest.mark.timeout(3000)]


def keyframes_of(name: str, folder: Path) -> Keyframes:
    source = ingest(real_capture(name), folder / "source")
    return select_keyframes(source, PRESETS["balanced"].keyframes, folder / "keyframes")


@pytest.mark.parametrize("name", ["videos/apple_handheld.mp4", "videos/desk_handheld.mp4", "fox/images"])
def test_every_keyframe_is_placed(name: str, tmp_path: Path) -> None:
    poses = estimate_poses(keyframes_of(name, tmp_path), PoseSettings(), tmp_path / "poses")
    metrics = poses.metrics
    assert poses.verdict.ok
    assert metrics["registered"] == metrics["images"]
    assert metrics["points"] >= 1000 and metrics["mean_reprojection_error_px"] <= 1.0


def test_photos_of_a_street_are_in_metres(tmp_path: Path) -> None:
    """29 photos of which COLMAP as it comes places two, going forward: only EXIF knows the focal length."""
    keyframes = keyframes_of("gps_lund", tmp_path)
    poses = estimate_poses(keyframes, PoseSettings(), tmp_path / "poses")
    metrics = poses.metrics
    print({k: v for k, v in metrics.items() if k.startswith(("gps", "focal", "registered", "fallback"))})
    assert poses.verdict.ok and metrics["registered"] >= 20
    assert metrics["georeferenced"] is True and metrics["gps_rmse_m"] <= 5.0
    assert metrics["focal_px"] == pytest.approx(metrics["focal_exif_px"], rel=0.1)
    assert 1.0 < median_height(poses) < 2.2, "a phone held by somebody who stands in the street"


def median_height(poses: CameraPoses) -> float:
    """Of the cameras over the lowest things within 25 m, metres."""
    model = poses.model()
    heights = []
    for center in model.centers:
        away = model.xyz - center
        near = (np.hypot(away[:, 0], away[:, 2]) < 25) & (away[:, 1] > 0.3)
        if near.sum() > 5:
            heights.append(np.percentile(away[near, 1], 90))
    return float(np.median(heights))


def test_blur_throughout_is_refused_or_told(tmp_path: Path) -> None:
    keyframes = keyframes_of("bad/very_blurry_alvaar.mp4", tmp_path)
    assert "sharp" in [gate.name for gate in keyframes.verdict.warnings]
    try:
        poses = estimate_poses(keyframes, PoseSettings(), tmp_path / "poses")
    except StageFailed as refusal:
        assert "Film" in str(refusal) or "Move" in str(refusal)
        return
    assert not poses.verdict.ok or len(poses.verdict.warnings) >= 2, "with `sharp` enough for grade C"
