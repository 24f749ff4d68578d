from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from reconstruction_pipeline.artifacts.colmap import ColmapModel, write_model
from reconstruction_pipeline.artifacts.errors import Cancelled, StageFailed
from reconstruction_pipeline.artifacts.progress import NullProgress, RecordingProgress
from reconstruction_pipeline.stages.depth import DepthSettings, estimate_depth
from reconstruction_pipeline.stages.depth.estimate import beside_an_edge, depth_range, without_specks
from reconstruction_pipeline_tests.analytic_scene import AnalyticScene, write_poses

SETTINGS = DepthSettings(longest_side=160, threads=2)


@pytest.fixture(scope="module")
def estimated(scene: AnalyticScene, tmp_path_factory: pytest.TempPathFactory):
    poses = write_poses(tmp_path_factory.mktemp("poses") / "project", scene)
    progress = RecordingProgress()
    return estimate_depth(poses, SETTINGS, tmp_path_factory.mktemp("depth"), progress), progress


def test_depth_is_right_in_the_scale_of_the_poses(scene: AnalyticScene, estimated) -> None:
    maps, _ = estimated
    assert maps.names() == scene.names
    for name, truth in zip(scene.names, scene.depths, strict=True):
        depth = maps.load(name).depth
        known = depth > 0
        error = np.abs(depth[known] / truth[known] - 1)
        assert known.mean() > 0.5
        assert np.median(error) < 0.01
        assert np.percentile(error, 90) < 0.04


def test_confidence_tells_good_from_bad(scene: AnalyticScene, estimated) -> None:
    maps, _ = estimated
    for name, truth in zip(scene.names, scene.depths, strict=True):
        depth, confidence = maps.load(name)
        known = depth > 0
        assert np.all(confidence[~known] == 0) and confidence.max() <= 1
        error = np.abs(depth[known] / truth[known] - 1)
        surer = confidence[known] > np.median(confidence[known])
        assert np.mean(error[surer] > 0.05) < 0.25 * np.mean(error[~surer] > 0.05) + 1e-3


def test_metrics_verdict_previews_and_progress(estimated) -> None:
    maps, progress = estimated
    maps.validate()
    assert maps.verdict.ok and not maps.verdict.warnings
    assert maps.metrics["backend"] == "plane_sweep_cpu" and maps.metrics["fallback_level"] == 0
    assert maps.metrics["median_relative_error_to_sparse"] < 0.01
    assert (maps.metrics["width"], maps.metrics["height"]) == (160, 120)
    (strip,) = maps.previews()
    assert 2_000 < strip.stat().st_size <= 60_000
    assert [r[1] for r in progress.reports] == list(range(1, 15)) and progress.reports[-1][2] == 14


def test_two_runs_are_equal_to_the_last_bit(scene: AnalyticScene, estimated, tmp_path) -> None:
    poses = write_poses(tmp_path / "project", scene)
    again = estimate_depth(poses, replace(SETTINGS, threads=1), tmp_path / "depth", NullProgress())
    for name in scene.names:
        for first, second in zip(estimated[0].load(name), again.load(name), strict=True):
            np.testing.assert_array_equal(first, second)


def test_wrong_poses_warn(scene: AnalyticScene, tmp_path) -> None:
    """Sparse points that do not belong to the pictures: what is found cannot agree with them."""
    poses = write_poses(tmp_path / "project", scene)
    model = poses.model()
    rng = np.random.default_rng(0)
    shuffled = ColmapModel(
        model.cameras, model.images, model.xyz * rng.uniform(0.7, 1.4, (len(model.xyz), 1)),
        model.rgb, model.errors, model.track_lengths,
    )  # fmt: skip
    write_model(tmp_path / "project" / "sparse" / "0", shuffled)
    maps = estimate_depth(poses, SETTINGS, tmp_path / "depth", NullProgress())
    assert "depth_agrees_with_sparse" in [gate.name for gate in maps.verdict.warnings]
    assert maps.verdict.ok, "depth only warns"


def test_without_shared_points_the_stage_fails(scene: AnalyticScene, tmp_path) -> None:
    poses = write_poses(tmp_path / "project", scene, points=7)
    with pytest.raises(StageFailed, match="sideways"):
        estimate_depth(poses, SETTINGS, tmp_path / "depth", NullProgress())


def test_it_can_be_cancelled(scene: AnalyticScene, tmp_path) -> None:
    poses = write_poses(tmp_path / "project", scene)
    with pytest.raises(Cancelled):
        estimate_depth(poses, SETTINGS, tmp_path / "depth", RecordingProgress(cancel_after=2))
    assert not (tmp_path / "depth" / "depth").exists()


def test_the_range_ignores_a_few_wild_points() -> None:
    depths = np.concatenate([np.linspace(2, 4, 200), [0.01, 900.0]])
    near, far = depth_range(depths)
    assert 1.2 < near < 2 and 4 < far < 8


def test_edges_are_jumps_and_not_slants() -> None:
    slanted = (1 / np.broadcast_to(np.linspace(1.0, 0.2, 60), (40, 60))).astype(np.float32)
    assert not beside_an_edge(slanted).any()
    step = slanted.copy()
    step[:, 30:] *= 1.5
    near = beside_an_edge(step)
    assert near[:, 28:32].all() and not near[:, :26].any() and not near[:, 34:].any()


def test_specks_go_and_surfaces_stay() -> None:
    depth = np.full((40, 40), 2, np.float32)
    depth[:, 20:] = 3
    depth[5:8, 5:8] = 2.5
    depth[:, 19] = 0
    cleaned = without_specks(depth, 0.015)
    assert np.all(cleaned[5:8, 5:8] == 0)
    depth[5:8, 5:8] = 0
    np.testing.assert_array_equal(cleaned, depth)
