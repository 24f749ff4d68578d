"""Packing of parameters into planes, and the camera."""

from __future__ import annotations

import numpy as np
import pytest

from reconstruction_pipeline.kernels.camera import PinholeView
from reconstruction_pipeline.kernels.layout import (
    OPACITY,
    SH,
    aligned_zeros,
    capacity_for,
    empty_planes,
    from_planes,
    spatial_order,
    to_planes,
)
from reconstruction_pipeline.kernels.rasterizer import Rasterizer
from reconstruction_pipeline_tests.kernels.gaussian_reference import random_scene, turned_view


def test_there_and_back() -> None:
    tables = random_scene(37)
    planes = to_planes(*tables, capacity=1024)
    assert planes.shape == (59, 1040)
    for before, after in zip(tables, from_planes(planes, 37), strict=True):
        np.testing.assert_array_equal(before, after)
    assert planes[SH + 3 * 7 + 2, 11] == tables[4][11, 7, 2]
    assert (planes[OPACITY, 37:] < -20).all()


def test_fewer_coefficients_are_filled_with_zeros() -> None:
    means, log_scales, quats, logits, sh = random_scene(5)
    planes = to_planes(means, log_scales, quats, logits, sh[:, :4])
    np.testing.assert_array_equal(from_planes(planes, 5)[4][:, :4], sh[:, :4])
    assert not planes[SH + 12 :, :5].any()


@pytest.mark.parametrize(("count", "capacity"), [(0, 16), (16, 16), (17, 32), (1024, 1040), (50_000, 50_000)])
def test_capacity(count: int, capacity: int) -> None:
    assert capacity_for(count) == capacity


def test_buffers_start_on_a_cache_line() -> None:
    assert all(aligned_zeros((n, 3)).ctypes.data % 64 == 0 for n in range(1, 20))


def test_empty_planes_render_as_nothing() -> None:
    assert not Rasterizer().forward(empty_planes(32), 32, turned_view()).alpha.any()


def test_camera_centre_and_scaling() -> None:
    view = turned_view(64, 48)
    np.testing.assert_allclose(view.rotation @ view.center + view.translation, 0, atol=1e-12)
    half = view.scaled(32, 24)
    assert (half.fx, half.cy, half.width) == (view.fx / 2, view.cy / 2, 32)
    with pytest.raises(ValueError, match="rotation"):
        PinholeView(np.eye(4), np.zeros(3), 1, 1, 0, 0, 4, 4)
    with pytest.raises(ValueError, match="positive"):
        PinholeView(np.eye(3), np.zeros(3), 1, 1, 0, 0, 0, 4)


def test_spatial_order_is_a_permutation_that_shortens_the_way() -> None:
    means = np.random.default_rng(0).uniform(-3, 3, (2000, 3)).astype(np.float32)
    order = spatial_order(means)
    np.testing.assert_array_equal(np.sort(order), np.arange(2000))
    steps = [np.linalg.norm(np.diff(points, axis=0), axis=1).mean() for points in (means, means[order])]
    assert steps[1] < 0.25 * steps[0]
    assert len(spatial_order(means[:0])) == 0
