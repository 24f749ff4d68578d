from __future__ import annotations

import numpy as np
import pytest

from reconstruction_pipeline.stages.depth.plane_sweep import window_statistics
from reconstruction_pipeline.stages.depth.stereo import match, plane_count
from reconstruction_pipeline_tests.analytic_scene import AnalyticScene

NEAR, FAR = 1.5, 6.0


def _grey(picture: np.ndarray, gain: float = 1.0, offset: float = 0.0) -> np.ndarray:
    return (picture.mean(axis=2) / 255 * gain + offset).astype(np.float32)


def _match(scene: AnalyticScene, gain: float = 1.0, offset: float = 0.0):
    others = [(scene.views[j], _grey(scene.pictures[j], gain, offset)) for j in (1, 2, 4, 5)]
    return match(scene.views[3], _grey(scene.pictures[3]), others, NEAR, FAR, 48, 128)


def test_most_pixels_are_right_before_any_check(scene: AnalyticScene) -> None:
    stereo = _match(scene)
    error = np.abs(stereo.depth / scene.depths[3] - 1)
    assert np.median(error) < 0.01
    assert np.mean(error < 0.05) > 0.85
    assert stereo.depth.min() >= NEAR * 0.99 and stereo.depth.max() <= FAR * 1.01
    for score in (stereo.matching, stereo.distinct):
        assert score.min() >= 0 and score.max() <= 1


def test_exposure_does_not_matter(scene: AnalyticScene) -> None:
    plain, darker = _match(scene), _match(scene, gain=0.8, offset=0.06)
    assert np.mean(np.abs(darker.depth / plain.depth - 1) < 0.01) > 0.95


def test_depth_lies_between_planes(scene: AnalyticScene) -> None:
    """The parabola refines: far more distinct values than planes, and less error than half a plane."""
    stereo = _match(scene)
    step = (1 / NEAR - 1 / FAR) / (stereo.planes - 1)
    assert len(np.unique(np.round(1 / stereo.depth / step, 2))) > 5 * stereo.planes
    off = np.abs(1 / stereo.depth - 1 / scene.depths[3]) / step
    assert np.median(off) < 0.25


@pytest.mark.parametrize("size", [(161, 97), (33, 50)])
def test_any_size(size: tuple[int, int]) -> None:
    from reconstruction_pipeline_tests.analytic_scene import make_scene

    small = make_scene(3, *size)
    others = [(small.views[j], _grey(small.pictures[j])) for j in (0, 2)]
    stereo = match(small.views[1], _grey(small.pictures[1]), others, NEAR, FAR, 48, 128)
    assert stereo.depth.shape == (size[1], size[0])
    assert np.median(np.abs(stereo.depth / small.depths[1] - 1)) < 0.05


def test_planes_follow_the_disparity(scene: AnalyticScene) -> None:
    view, near_by, far_off = scene.views[3], [scene.views[2]], [scene.views[0]]
    assert plane_count(view, near_by, NEAR, FAR, 16, 512) < plane_count(view, far_off, NEAR, FAR, 16, 512)
    assert plane_count(view, far_off, NEAR, FAR, 16, 512) % 16 == 0
    assert plane_count(view, [view], NEAR, FAR, 48, 128) == 48


def test_statistics_are_the_same_wherever_the_arrays_lie() -> None:
    """Which form of a compiled loop runs depends on addresses; both must add in one order."""
    reference = np.random.default_rng(0).random((184, 324), np.float32)
    first = window_statistics(reference)
    for times in range(24):
        held = np.empty(100_003 * times, np.float32)  # moves what is allocated next
        moved = reference.copy()
        for found, expected in zip(window_statistics(moved), first, strict=True):
            np.testing.assert_array_equal(found, expected)
        del held
