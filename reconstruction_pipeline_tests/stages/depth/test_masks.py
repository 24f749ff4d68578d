"""What the masks of the poses ignore has no depth, and spoils that of others."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from reconstruction_pipeline.artifacts import DepthMaps
from reconstruction_pipeline.artifacts.progress import NullProgress
from reconstruction_pipeline.stages.depth import DepthSettings, estimate_depth
from reconstruction_pipeline_tests.analytic_scene import AnalyticScene, write_poses
from reconstruction_pipeline_tests.stages.captures import texture

ROWS, COLUMNS = slice(66, 120), slice(0, 64)


def with_a_rig_in_view(scene: AnalyticScene, folder: Path, masked: bool) -> DepthMaps:
    """The camera's own rig hides the same corner of every picture."""
    poses = write_poses(folder / "project", scene)
    rig = texture(160, 5)[ROWS, COLUMNS]
    (folder / "project" / "masks").mkdir()
    for name, picture in zip(scene.names, scene.pictures, strict=True):
        seen = picture.copy()
        seen[ROWS, COLUMNS] = rig
        cv2.imwrite(str(folder / "project" / "images" / name), seen[:, :, ::-1])
        if masked:
            mask = np.full(picture.shape[:2], 255, np.uint8)
            mask[ROWS, COLUMNS] = 0
            cv2.imwrite(str(folder / "project" / "masks" / f"{name}.png"), mask)
    return estimate_depth(poses, DepthSettings(longest_side=160, threads=2), folder / "depth", NullProgress())


def test_a_rig_that_is_masked_has_no_depth_and_does_no_harm(scene: AnalyticScene, tmp_path: Path) -> None:
    maps = with_a_rig_in_view(scene, tmp_path / "masked", True)
    for name, truth in zip(scene.names, scene.depths, strict=True):
        depth, confidence = maps.load(name)
        assert not depth[ROWS, COLUMNS].any() and not confidence[ROWS, COLUMNS].any()
        known = depth > 0
        error = np.abs(depth[known] / truth[known] - 1)
        assert np.median(error) < 0.01 and np.mean(error > 0.05) < 0.05
    assert maps.metrics["coverage"] > 0.5, "of what counts"
    plain = with_a_rig_in_view(scene, tmp_path / "plain", False)
    corner = [float((plain.load(name).depth[ROWS, COLUMNS] > 0).mean()) for name in scene.names]
    assert max(corner) > 0.05, "without a mask the rig is taken for a surface"
