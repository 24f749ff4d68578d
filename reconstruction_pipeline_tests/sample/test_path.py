"""What makes the path reconstructable."""

from __future__ import annotations

import numpy as np
import pytest

from reconstruction_pipeline.sample.path import camera_path
from reconstruction_pipeline.sample.sensor import exposure
from reconstruction_pipeline.sample.variants import SEED, VARIANTS, Variant


@pytest.fixture(params=sorted(VARIANTS))
def variant(request: pytest.FixtureRequest) -> Variant:
    return VARIANTS[request.param]


def centers(variant: Variant) -> np.ndarray:
    path = camera_path(variant, SEED)
    return np.stack([path.position(i / variant.fps) for i in range(variant.frames)])


def test_poses_are_upright_rotations_at_the_path(variant: Variant) -> None:
    path = camera_path(variant, SEED)
    for time in np.linspace(0, variant.seconds, 20):
        rotation, translation = path.pose(time)
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(rotation) == pytest.approx(1)
        np.testing.assert_allclose(-rotation.T @ translation, path.position(time), atol=1e-12)
        assert rotation[1] @ [0, 1, 0] > 0.9  # the camera's down is the world's down


def test_the_path_is_a_loop_with_parallax_that_starts_slowly(variant: Variant) -> None:
    c = centers(variant)
    extent = camera_path(variant, SEED).extent(np.arange(variant.frames) / variant.fps)
    steps = np.linalg.norm(np.diff(c, axis=0), axis=-1)
    assert extent > 0.3 * 3.0  # at least a third of the distance to the furniture
    assert np.linalg.norm(c[-1] - c[0]) < 0.15 * extent
    assert steps[: variant.fps // 4].mean() < 0.6 * steps.max()
    assert steps.min() > 0  # never turning in place
    assert np.linalg.svd(c - c.mean(0))[1][1] > 0.1 * np.linalg.svd(c - c.mean(0))[1][0]  # not along one line


def test_the_exposure_drifts_by_at_least_fifteen_percent_both_ways(variant: Variant) -> None:
    gains = np.array([exposure(variant, i / variant.fps) for i in range(variant.frames)])
    gains /= gains.mean()
    assert gains.max() > 1.15
    assert gains.min() < 0.85
    assert np.abs(np.diff(gains)).max() < 0.08  # a drift, not a jump


def test_another_seed_shakes_otherwise(variant: Variant) -> None:
    assert not np.allclose(camera_path(variant, SEED).position(1.0), camera_path(variant, SEED + 1).position(1.0))
