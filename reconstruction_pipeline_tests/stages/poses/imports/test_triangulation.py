"""Points triangulated from given poses, on rendered pictures of planes whose place is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from reconstruction_pipeline.artifacts.colmap import (
    Camera,
    ColmapModel,
    PosedImage,
    quaternion_of,
    rotation_of,
    write_model,
)
from reconstruction_pipeline.artifacts.errors import StageFailed
from reconstruction_pipeline.stages.poses.child import ColmapChild
from reconstruction_pipeline.stages.poses.imports import open_project
from reconstruction_pipeline.stages.poses.imports.triangulation import pairs_by_pose
from reconstruction_pipeline_tests.stages.captures import RoomCorner

NOTHING = np.zeros((0, 3)), np.zeros((0, 3), np.uint8), np.zeros(0), np.zeros(0, np.int64)


def posed(name: str, rotation: np.ndarray, center: np.ndarray) -> PosedImage:
    quaternion = quaternion_of(rotation)
    rotation = rotation_of(quaternion)
    return PosedImage(name, 1, quaternion, rotation, -rotation @ center, np.zeros((0, 2)), np.zeros(0, np.int64))


def room_project(folder: Path, count: int, blank: bool = False) -> ColmapModel:
    """Pictures of a room corner from known cameras, and a model without points."""
    room = RoomCorner()
    (folder / "images" / "a walk").mkdir(parents=True)
    images = []
    for row, angle in enumerate(np.linspace(-0.5, 0.5, count)):
        rotation, center = room.camera(float(angle))
        image = posed(f"a walk/{row}.png", rotation, center)
        picture = room.render(image.rotation, center)
        cv2.imwrite(str(folder / "images" / image.name), 0 * picture if blank else picture[:, :, ::-1])
        images.append(image)
    camera = Camera("SIMPLE_PINHOLE", room.width, room.height, (room.focal, room.width / 2, room.height / 2))
    model = ColmapModel({1: camera}, tuple(images), *NOTHING)
    write_model(folder / "sparse" / "0", model)
    return model


@pytest.mark.slow
def test_points_lie_on_the_surfaces_and_the_poses_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = room_project(tmp_path / "p", 6)
    (tmp_path / "p" / "sparse" / "0" / "points3D.bin").unlink()
    found = open_project(tmp_path / "p", tmp_path / "cache")
    model = found.model
    assert len(model.xyz) >= 1000
    assert found.notes == (f"There were no points: {len(model.xyz)} were triangulated from the given poses.",)
    half = np.sqrt(0.5)
    planes = [((0, 1, 0), 1.0), ((half, 0, half), 2.4), ((-half, 0, half), 2.4)]
    off = np.min([np.abs(model.xyz @ np.array(normal) - offset) for normal, offset in planes], axis=0)
    assert np.median(off) < 0.01 and np.quantile(off, 0.95) < 0.1
    for image, true in zip(model.images, given.images, strict=True):
        assert image.name == true.name
        np.testing.assert_allclose(image.rotation, true.rotation, atol=1e-12)
        np.testing.assert_allclose(image.translation, true.translation, atol=1e-12)
        local = model.xyz[image.point_rows] @ image.rotation.T + image.translation
        pixels = local[:, :2] / local[:, 2:] * 400.0 + [240.0, 180.0]
        assert len(local) > 300 and np.median(np.linalg.norm(pixels - image.xy, axis=1)) < 1.0
    # The colours are those of the pictures.
    image = model.images[3]
    picture = cv2.imread(str(found.picture(image.name)))[:, :, ::-1]
    column, row = np.floor(image.xy).astype(int).T
    difference = np.abs(picture[row, column].astype(float) - model.rgb[image.point_rows])
    assert np.median(difference) < 12

    def forbidden(*_: object) -> None:
        raise AssertionError("what is in the cache was made again")

    monkeypatch.setattr(ColmapChild, "run", forbidden)
    assert len(open_project(tmp_path / "p", tmp_path / "cache").model.xyz) == len(model.xyz)
    # Whoever only renders needs no points.
    assert open_project(tmp_path / "p", tmp_path / "other", need_points=False).model.xyz.shape == (0, 3)
    # Points that no image is tied to are enough to start from, but not where tracks are asked for.
    loose = replace(model, images=tuple(replace(i, xy=i.xy[:0], point_rows=i.point_rows[:0]) for i in model.images))
    write_model(tmp_path / "p" / "sparse" / "0", loose)
    assert len(open_project(tmp_path / "p", tmp_path / "other").model.xyz) == len(model.xyz)
    with pytest.raises(AssertionError, match="made again"):
        open_project(tmp_path / "p", tmp_path / "other", need_tracks=True)


def test_pictures_without_features_are_said(tmp_path: Path) -> None:
    room_project(tmp_path / "p", 3, blank=True)
    with pytest.raises(StageFailed, match=r"only 0 points .* check that the poses belong to these pictures"):
        open_project(tmp_path / "p", tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_pairs_follow_the_poses() -> None:
    """A ring of 40 cameras looking inwards: neighbours are paired, those that face each other are not."""
    images = []
    for row in range(40):
        angle = 2 * np.pi * row / 40
        forward = np.array([-np.cos(angle), 0, -np.sin(angle)])
        rotation = np.stack([np.cross([0, 1, 0], forward), [0, 1, 0], forward])
        images.append(posed(f"{row}", rotation, -3 * forward))
    pairs = pairs_by_pose(ColmapModel({}, tuple(images), *NOTHING))
    steps = {min((j - i) % 40, (i - j) % 40) for i, j in pairs}
    assert steps == set(range(1, 7)) and len(pairs) == 40 * 6
    assert pairs == sorted(pairs) and all(i < j for i, j in pairs)
