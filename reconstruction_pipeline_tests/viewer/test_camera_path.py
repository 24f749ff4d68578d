from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from reconstruction_pipeline.artifacts.colmap import ColmapModel, PosedImage
from reconstruction_pipeline.viewer.camera_path import (
    DURATION_S,
    FRAME_RATE,
    MAX_KEYFRAMES,
    captured_path,
    focus_depths,
    tour,
)
from reconstruction_pipeline_tests.viewer.scenes import FOCAL, SIZE, cameras


def without_points(model: ColmapModel) -> ColmapModel:
    blind = tuple(replace(image, xy=np.zeros((0, 2)), point_rows=np.zeros(0, np.int64)) for image in model.images)
    return replace(model, images=blind, xyz=np.zeros((0, 3)), rgb=np.zeros((0, 3), np.uint8))


def line_of(model: ColmapModel, offsets: np.ndarray) -> ColmapModel:
    """Copies of the first camera, moved along its own x axis."""
    first = model.images[0]
    images = [
        PosedImage(
            f"{i:04d}.jpg",
            first.camera_id,
            first.quaternion,
            first.rotation,
            first.translation - np.array([offset, 0.0, 0.0]),
            first.xy,
            first.point_rows,
        )
        for i, offset in enumerate(offsets)
    ]
    return replace(model, images=tuple(images))


def test_keyframes_are_the_captured_cameras_turned_to_y_up() -> None:
    model = cameras()
    path = captured_path(model)
    for image, position, target in zip(model.images, path.positions, path.targets, strict=True):
        np.testing.assert_allclose(position, image.center * (-1, -1, 1))
        forward = image.rotation.T @ [0, 0, 1]
        direction = (target - position) / np.linalg.norm(target - position)
        np.testing.assert_allclose(direction, forward * (-1, -1, 1), atol=1e-12)
    np.testing.assert_allclose(path.half_tangents, [[0.5 * SIZE[0] / FOCAL[0], 0.5 * SIZE[1] / FOCAL[1]]] * 3)
    assert path.times[0] == 0 and (np.diff(path.times) > 0).all()
    assert path.duration_s == pytest.approx(DURATION_S[0])


def test_focus_is_the_median_depth_of_what_is_seen() -> None:
    model = cameras()
    depths = focus_depths(model)
    for image, depth in zip(model.images, depths, strict=True):
        z = model.xyz @ image.rotation[2] + image.translation[2]
        assert depth == pytest.approx(np.median(z))


def test_without_points_the_focus_is_where_the_axes_meet() -> None:
    depths = focus_depths(without_points(cameras()))
    # The cameras stand 4 units from the middle.
    np.testing.assert_allclose(depths, 4.0, rtol=0.05)


def test_parallel_cameras_without_points_still_have_a_focus() -> None:
    model = without_points(line_of(cameras(), np.arange(4.0)))
    assert (focus_depths(model) > 0).all()


def test_tour_keeps_a_path_and_orders_scattered_photos() -> None:
    angle = np.linspace(0, 6, 30)
    loop = np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=1)
    np.testing.assert_array_equal(tour(loop), np.arange(30))
    shuffled = np.concatenate([[0], 1 + np.random.default_rng(0).permutation(29)])
    np.testing.assert_array_equal(shuffled[tour(loop[shuffled])], np.arange(30))


def test_long_captures_are_thinned_and_even_in_pace() -> None:
    offsets = np.cumsum(np.where(np.arange(700) < 350, 0.01, 0.02))
    path = captured_path(line_of(cameras(), offsets))
    assert len(path.times) == MAX_KEYFRAMES
    assert path.duration_s == pytest.approx(DURATION_S[1])
    steps = np.diff(path.times) / FRAME_RATE
    # Twice the distance takes longer than half of it, but a slow stretch does not vanish.
    assert 1.1 < steps[-1] / steps[0] < 2.0


def test_the_start_shows_much_and_is_level() -> None:
    model = cameras()
    half = model.images[0].point_rows[:6]
    few = replace(model.images[0], xy=model.images[0].xy[:6], point_rows=half)
    assert captured_path(replace(model, images=(few, *model.images[1:]))).start == 1
    tilted = []
    for image, degrees in zip(model.images, (12.0, 9.0, 3.0), strict=True):
        c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        tilted.append(replace(image, rotation=np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]]) @ image.rotation))
    path = captured_path(replace(model, images=tuple(tilted)))
    assert path.start == 2 and path.start_s == path.duration_s


def test_one_camera_is_a_path() -> None:
    model = cameras()
    path = captured_path(replace(model, images=model.images[:1]))
    assert path.positions.shape == (1, 3) and path.duration_s > 0
