from __future__ import annotations

from dataclasses import replace

import numpy as np

from reconstruction_pipeline.artifacts.colmap import ColmapModel, PosedImage, rotation_of
from reconstruction_pipeline.viewer.limits import GROUND, ROOM, limits_of
from reconstruction_pipeline_tests.viewer.scenes import cameras
from reconstruction_pipeline_tests.viewer.test_camera_path import without_points


def standing(model: ColmapModel, yaws: np.ndarray) -> ColmapModel:
    """Cameras at one place that look all around, without points."""
    images = []
    for index, yaw in enumerate(yaws):
        q = (float(np.cos(yaw / 2)), 0.0, float(np.sin(yaw / 2)), 0.0)
        rotation = rotation_of(q)
        center = np.array([0.3 * np.sin(yaw), 0.0, 0.3 * np.cos(yaw)])
        none = (np.zeros((0, 2)), np.zeros(0, np.int64))
        images.append(PosedImage(f"{index}.jpg", 1, q, rotation, -rotation @ center, *none))
    return replace(without_points(model), images=tuple(images))


def test_the_floor_is_the_ground_or_the_lowest_camera() -> None:
    model = cameras()
    ground = np.random.default_rng(0).uniform((-2, 1.5, -2), (2, 1.5, 2), (500, 3))
    above = replace(model, xyz=np.concatenate([model.xyz, ground]))
    assert limits_of(above).floor == -np.quantile(above.xyz[:, 1], GROUND) == -1.5
    # Filmed from below a table: the camera that was there may be gone back to.
    below = replace(model, xyz=model.xyz - [0.0, 5.0, 0.0])
    assert limits_of(below).floor == -model.centers[:, 1].max()


def test_far_strays_and_the_unit_do_not_count() -> None:
    model = cameras()
    strays = np.array([[900.0, 0, 0], [0, 700.0, 0], [0, -800.0, 0]])
    points = np.random.default_rng(0).uniform((-2, -1, -2), (2, 1.2, 2), (2000, 3))
    limits = limits_of(replace(model, xyz=np.concatenate([model.xyz, points, strays])))
    assert limits.floor > -1.3
    assert limits.room == ROOM * limits.reach and 3 < limits.reach < 5


def test_without_points_there_is_room_below() -> None:
    limits = limits_of(without_points(cameras()))
    assert limits.floor < -cameras().centers[:, 1].max() - 0.5


def test_what_was_walked_around_is_turned_around() -> None:
    assert limits_of(cameras()).orbit
    assert limits_of(without_points(cameras())).orbit


def test_who_stood_still_and_looked_around_looks_around() -> None:
    assert not limits_of(standing(cameras(), np.linspace(0, 2 * np.pi, 12, endpoint=False))).orbit
