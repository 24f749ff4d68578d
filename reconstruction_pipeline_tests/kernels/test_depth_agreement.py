from __future__ import annotations

import numpy as np
import pytest

from reconstruction_pipeline.kernels.depth_agreement import agreement
from reconstruction_pipeline_tests.analytic_scene import AnalyticScene, make_scene


@pytest.fixture(scope="module")
def scene() -> AnalyticScene:
    return make_scene(5)


def _others(scene: AnalyticScene) -> list:
    return [(scene.depths[j], scene.views[j]) for j in (0, 1, 3, 4)]


def test_true_depths_agree_and_stay(scene: AnalyticScene) -> None:
    agree, through, mean = agreement(scene.depths[2], scene.views[2], _others(scene), 0.01)
    assert np.mean(agree >= 2) > 0.9
    assert np.mean(through > 0) < 0.03
    assert np.median(np.abs(mean / scene.depths[2] - 1)) < 1e-4


def test_a_floater_is_looked_through(scene: AnalyticScene) -> None:
    depth = scene.depths[2].copy()
    depth[20:30, 60:70] *= 0.6
    agree, through, _ = agreement(depth, scene.views[2], _others(scene), 0.01)
    assert agree[20:30, 60:70].max() == 0
    assert through[20:30, 60:70].min() >= 2


def test_the_mean_reduces_noise(scene: AnalyticScene) -> None:
    rng = np.random.default_rng(0)

    def noisy(depth: np.ndarray) -> np.ndarray:
        return (depth * rng.normal(1, 0.003, depth.shape)).astype(np.float32)

    depth = noisy(scene.depths[2])
    agree, _, mean = agreement(depth, scene.views[2], [(noisy(d), v) for d, v in _others(scene)], 0.015)
    seen = agree >= 3
    before, after = (np.std(d[seen] / scene.depths[2][seen]) for d in (depth, mean))
    assert after < 0.7 * before


def test_unknown_depth_takes_no_part(scene: AnalyticScene) -> None:
    nothing = np.zeros_like(scene.depths[0])
    agree, through, mean = agreement(nothing, scene.views[2], _others(scene), 0.01)
    assert not agree.any() and not through.any() and not mean.any()
    agree, through, mean = agreement(scene.depths[2], scene.views[2], [(nothing, scene.views[1])], 0.01)
    assert not agree.any() and not through.any()
    np.testing.assert_array_equal(mean, scene.depths[2])


def test_sizes_must_match(scene: AnalyticScene) -> None:
    with pytest.raises(ValueError, match="same size"):
        agreement(scene.depths[2], scene.views[2], [(scene.depths[1][:-1], scene.views[1])], 0.01)
