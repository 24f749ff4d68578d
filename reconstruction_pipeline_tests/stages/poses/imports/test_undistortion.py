"""Undistortion against lens formulas written down here, on pictures whose colours say where they come from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from reconstruction_pipeline.artifacts.colmap import Camera, ColmapModel, write_model
from reconstruction_pipeline.artifacts.errors import Cancelled, StageFailed
from reconstruction_pipeline.artifacts.progress import RecordingProgress
from reconstruction_pipeline.stages.poses.child import ColmapChild
from reconstruction_pipeline.stages.poses.imports import open_project

WIDTH, HEIGHT = 160, 120
RADIAL = Camera("RADIAL", WIDTH, HEIGHT, (130.0, 83.0, 57.0, -0.12, 0.03))
FISHEYE = Camera("OPENCV_FISHEYE", WIDTH, HEIGHT, (90.0, 92.0, 78.0, 62.0, 0.02, -0.01, 0.0, 0.0))


def project_radial(rays: npt.NDArray[Any]) -> npt.NDArray[Any]:
    f, cx, cy, k1, k2 = RADIAL.params
    r2 = (rays**2).sum(axis=1, keepdims=True)
    return f * rays * (1 + k1 * r2 + k2 * r2**2) + [cx, cy]


def project_fisheye(rays: npt.NDArray[Any]) -> npt.NDArray[Any]:
    fx, fy, cx, cy, k1, k2, *_ = FISHEYE.params
    r = np.maximum(np.linalg.norm(rays, axis=1, keepdims=True), 1e-12)
    angle = np.arctan(r)
    return rays / r * angle * (1 + k1 * angle**2 + k2 * angle**4) * [fx, fy] + [cx, cy]


LENSES = {"views/radial.png": (RADIAL, project_radial), "views/fish eye.png": (FISHEYE, project_fisheye)}


@pytest.fixture
def project(tmp_path: Path, truth: ColmapModel) -> Path:
    """Two RGBA pictures of 16 bits: red and green grow with the column and the row, alpha falls with the column."""
    folder = tmp_path / "project"
    x, y = np.meshgrid(np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5)
    picture = np.stack([np.full_like(x, 7), y * 100, x * 100, 65535 - x * 100], axis=-1).astype(np.uint16)
    (folder / "images" / "views").mkdir(parents=True)
    (folder / "masks" / "views").mkdir(parents=True)
    images = []
    for number, (name, (_, project)) in enumerate(LENSES.items(), start=1):
        cv2.imwrite(str(folder / "images" / name), picture)
        true = truth.images[number]
        local = truth.xyz[true.point_rows] @ true.rotation.T + true.translation
        xy = project(local[:, :2] / local[:, 2:])
        images.append(replace(true, name=name, camera_id=number, xy=xy))
    cv2.imwrite(str(folder / "masks" / "views" / "radial.png.png"), np.where(x > 80, 255, 0).astype(np.uint8))
    cameras = {number: camera for number, (camera, _) in enumerate(LENSES.values(), start=1)}
    write_model(folder / "sparse" / "0", replace(truth, cameras=cameras, images=tuple(images)))
    return folder


def test_pictures_masks_and_observations_are_straightened(
    project: Path, truth: ColmapModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = open_project(project, tmp_path / "cache")
    assert found.notes == ("The lens distortion (OPENCV_FISHEYE, RADIAL) was removed from the pictures.",)
    assert [image.name for image in found.model.images] == ["views/fish eye.png", "views/radial.png"]
    for image in found.model.images:
        camera = found.model.cameras[image.camera_id]
        fx, fy, cx, cy = camera.pinhole()
        picture = cv2.imread(str(found.picture(image.name)), cv2.IMREAD_UNCHANGED)
        assert picture.shape == (camera.height, camera.width, 4) and picture.dtype == np.uint16
        u, v = np.meshgrid(np.arange(camera.width) + 0.5, np.arange(camera.height) + 0.5)
        rays = np.stack([(u - cx).ravel() / fx, (v - cy).ravel() / fy], axis=1)
        column, row = LENSES[image.name][1](rays).reshape(*u.shape, 2).transpose(2, 0, 1)
        # Nothing from outside the picture; OpenCV's weights of interpolation have 5 bits.
        assert column.min() > -0.5 and column.max() < WIDTH + 0.5 and row.min() > -0.5 and row.max() < HEIGHT + 0.5
        inner = np.s_[2:-2, 2:-2]
        assert np.abs(picture[..., 2] / 100 - column)[inner].max() < 0.03
        assert np.abs(picture[..., 1] / 100 - row)[inner].max() < 0.03
        assert np.abs((65535.0 - picture[..., 3]) / 100 - column)[inner].max() < 0.03
        if image.name == "views/radial.png":
            mask = found.mask(image.name)
            assert mask
            kept = cv2.imread(str(mask), cv2.IMREAD_UNCHANGED)
            clear = np.abs(column - 80) > 1
            np.testing.assert_array_equal(kept[clear], np.where(column > 80, 255, 0)[clear])
        local = found.model.xyz[image.point_rows] @ image.rotation.T + image.translation
        assert len(local) > 300
        np.testing.assert_allclose(local[:, :2] / local[:, 2:] * [fx, fy] + [cx, cy], image.xy, atol=1e-4)

    def forbidden(*_: object) -> None:
        raise AssertionError("what is in the cache was made again")

    with monkeypatch.context() as patched:
        patched.setattr(ColmapChild, "run", forbidden)
        again = open_project(project, tmp_path / "cache")
        assert again.pictures == found.pictures and again.notes == found.notes and again.masks == found.masks
    # Another picture is another content, and what was made of the old one goes.
    path = project / "images" / "views" / "radial.png"
    cv2.imwrite(str(path), cv2.imread(str(path), cv2.IMREAD_UNCHANGED) // 2)
    changed = open_project(project, tmp_path / "cache")
    assert changed.pictures != found.pictures and not found.pictures.exists()
    assert [p.name for p in (tmp_path / "cache").iterdir()] == [changed.pictures.parent.name]


def test_an_interruption_leaves_nothing(project: Path, tmp_path: Path) -> None:
    with pytest.raises(Cancelled):
        open_project(project, tmp_path / "cache", RecordingProgress(cancel_after=1))
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_lens_too_wide_is_said(project: Path, truth: ColmapModel, tmp_path: Path) -> None:
    wide = Camera("OPENCV_FISHEYE", WIDTH, HEIGHT, (20.0, 20.0, 80.0, 60.0, 0.0, 0.0, 0.0, 0.0))
    images = tuple(replace(i, name=n) for i, n in zip(truth.images, sorted(LENSES), strict=False))
    write_model(project / "sparse" / "0", replace(truth, cameras={1: wide}, images=images))
    with pytest.raises(StageFailed, match="OPENCV_FISHEYE lens this wide"):
        open_project(project, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []
