"""COLMAP projects as people have them, on real models written by pycolmap and by us."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from reconstruction_pipeline.artifacts.colmap import Camera, ColmapModel, write_model
from reconstruction_pipeline.artifacts.errors import InvalidArtifact, UsageError
from reconstruction_pipeline.artifacts.projects import is_project
from reconstruction_pipeline.stages.poses.imports import open_project


def project(folder: Path, posed: Path, model: str = "text", place: str = "sparse/0", pictures: str = "images") -> Path:
    shutil.copytree(posed / model, folder / place, dirs_exist_ok=True)
    shutil.copytree(posed / "images", folder / pictures, dirs_exist_ok=True)
    return folder


def assert_same(found: ColmapModel, truth: ColmapModel) -> None:
    """The same cameras and poses, and the same points at the same pixels (in whatever order)."""
    assert found.cameras == truth.cameras
    assert [i.name for i in found.images] == [i.name for i in truth.images]
    for a, b in zip(found.images, truth.images, strict=True):
        np.testing.assert_allclose(a.rotation, b.rotation, atol=1e-12)
        np.testing.assert_allclose(a.translation, b.translation, atol=1e-12)
        ours, theirs = (np.column_stack([i.xy, m.xyz[i.point_rows]]) for i, m in ((a, found), (b, truth)))
        np.testing.assert_allclose(ours[np.lexsort(ours.T)], theirs[np.lexsort(theirs.T)], atol=1e-9)
    rows, expected = (np.lexsort(m.xyz.T) for m in (found, truth))
    np.testing.assert_array_equal(found.rgb[rows], truth.rgb[expected])
    np.testing.assert_array_equal(found.track_lengths[rows], truth.track_lengths[expected])


@pytest.mark.parametrize("kind", ["text", "binary", "sparse/0"])
def test_what_pycolmap_and_colmap_write(posed: Path, truth: ColmapModel, tmp_path: Path, kind: str) -> None:
    folder = project(tmp_path / "p", posed, kind)
    # What COLMAP 4 writes beside the model must be there in the test, and must not confuse.
    assert len(list((folder / "sparse/0").glob("rigs.*"))) == (0 if kind == "sparse/0" else 1)
    found = open_project(folder, tmp_path / "cache")
    assert_same(found.model, truth)
    assert found.notes == () and not (tmp_path / "cache").exists()
    assert all(found.picture(image.name).is_file() for image in found.model.images)


@pytest.mark.parametrize("place", ["sparse", "0", ".", "colmap/sparse/0", "distorted/sparse/0", "out/run 3/model"])
@pytest.mark.parametrize("pictures", ["images", "input"])
def test_the_model_may_lie_anywhere(posed: Path, truth: ColmapModel, tmp_path: Path, place: str, pictures: str) -> None:
    folder = project(tmp_path / "p", posed, "binary", place, pictures)
    found = open_project(folder, tmp_path / "cache")
    assert len(found.model.images) == len(truth.images) and found.pictures == folder / pictures
    assert is_project(folder) and not is_project(folder / pictures)
    # The model's own folder will do as well.
    assert open_project(folder / place, tmp_path / "cache").pictures == folder / pictures


def test_pictures_beside_the_model_and_in_sub_folders(posed: Path, truth: ColmapModel, tmp_path: Path) -> None:
    folder = tmp_path / "p"
    model = replace(truth, images=tuple(replace(i, name=f"left eye/{i.name}") for i in truth.images))
    write_model(folder, model)
    shutil.copytree(posed / "images", folder / "left eye")
    found = open_project(folder, tmp_path / "cache")
    assert [i.name for i in found.model.images] == [i.name for i in model.images]
    assert found.picture("left eye/view_00.png") == folder / "left eye" / "view_00.png"


def test_the_largest_model_is_taken_and_said(posed: Path, truth: ColmapModel, tmp_path: Path) -> None:
    folder = project(tmp_path / "p", posed, "text", "sparse/1")
    write_model(folder / "sparse" / "0", replace(truth, images=truth.images[:3]))
    found = open_project(folder, tmp_path / "cache")
    assert len(found.model.images) == 5
    assert found.notes == ("2 sparse models were found; 'sparse/1' with 5 images is used.",)


def test_pictures_of_the_right_size_win(posed: Path, truth: ColmapModel, tmp_path: Path) -> None:
    """The layout of the original 3DGS code: the same names in input/ and, undistorted, in images/."""
    folder = project(tmp_path / "p", posed, "text", "distorted/sparse/0", "input")
    (folder / "images").mkdir()
    for image in truth.images:
        cv2.imwrite(str(folder / "images" / image.name), np.zeros((58, 77, 3), np.uint8))
    assert open_project(folder, tmp_path / "cache").pictures == folder / "input"


@pytest.mark.parametrize(
    "name", ["view_{}.JPG", "C:\\photos\\day 1\\view_{}.png", "/home/me/view_{}.tif", "../elsewhere/view_{}.png"]
)
def test_names_that_differ_only_in_folder_or_extension(
    posed: Path, truth: ColmapModel, tmp_path: Path, name: str
) -> None:
    images = tuple(replace(i, name=name.format(f"{row:02d}")) for row, i in enumerate(truth.images))
    write_model(tmp_path / "p" / "sparse", replace(truth, images=images))
    shutil.copytree(posed / "images", tmp_path / "p" / "images")
    found = open_project(tmp_path / "p", tmp_path / "cache")
    assert [i.name for i in found.model.images] == [f"view_{row:02d}.png" for row in range(5)]
    np.testing.assert_array_equal(found.model.images[3].translation, truth.images[3].translation)
    assert "other names" in found.notes[0]


def test_shrunk_pictures_shrink_their_camera(posed: Path, truth: ColmapModel, tmp_path: Path) -> None:
    folder = project(tmp_path / "p", posed)
    for path in (folder / "images").iterdir():
        cv2.imwrite(str(path), cv2.resize(cv2.imread(str(path)), (40, 30), interpolation=cv2.INTER_AREA))
    found = open_project(folder, tmp_path / "cache").model
    (camera,), (full,) = found.cameras.values(), truth.cameras.values()
    assert (camera.width, camera.height) == (40, 30)
    np.testing.assert_allclose(camera.params, np.array(full.params) / 2)
    image = found.images[2]
    local = found.xyz[image.point_rows] @ image.rotation.T + image.translation
    fx, fy, cx, cy = camera.pinhole()
    np.testing.assert_allclose(image.xy, local[:, :2] / local[:, 2:] * [fx, fy] + [cx, cy], atol=1e-6)


def test_missing_pictures_are_one_sentence(posed: Path, tmp_path: Path) -> None:
    folder = project(tmp_path / "p", posed)
    (folder / "images" / "view_03.png").unlink()
    with pytest.raises(InvalidArtifact, match=r"1 of the 5 pictures .* such as 'view_03.png'; put them back"):
        open_project(folder, tmp_path / "cache")
    shutil.rmtree(folder / "images")
    with pytest.raises(InvalidArtifact, match=r"none of the 5 pictures .* 'view_00.png'"):
        open_project(folder, tmp_path / "cache")


def test_a_picture_of_another_shape_is_refused(posed: Path, tmp_path: Path) -> None:
    folder = project(tmp_path / "p", posed)
    picture = folder / "images" / "view_01.png"
    cv2.imwrite(str(picture), cv2.rotate(cv2.imread(str(picture)), cv2.ROTATE_90_CLOCKWISE))
    with pytest.raises(InvalidArtifact, match=r"'view_01.png' is 60x80 but its camera says 80x60"):
        open_project(folder, tmp_path / "cache")


def test_simple_pinhole_and_lenses_without_distortion_need_no_work(
    posed: Path, truth: ColmapModel, tmp_path: Path
) -> None:
    cameras = {
        1: Camera("SIMPLE_PINHOLE", 80, 60, (70.0, 41.0, 29.0)),
        2: Camera("OPENCV", 80, 60, (70.0, 71.0, 41.0, 29.0, 0.0, 0.0, 0.0, 0.0)),
    }
    images = tuple(replace(i, camera_id=1 + row % 2) for row, i in enumerate(truth.images))
    write_model(tmp_path / "p" / "sparse", replace(truth, cameras=cameras, images=images))
    shutil.copytree(posed / "images", tmp_path / "p" / "images")
    found = open_project(tmp_path / "p", tmp_path / "cache").model
    by_name = {i.name: found.cameras[i.camera_id] for i in found.images}
    assert by_name["view_00.png"] == Camera("PINHOLE", 80, 60, (70.0, 70.0, 41.0, 29.0))
    assert by_name["view_01.png"] == Camera("PINHOLE", 80, 60, (70.0, 71.0, 41.0, 29.0))
    assert not (tmp_path / "cache").exists()


def test_masks_beside_the_pictures(posed: Path, tmp_path: Path) -> None:
    folder = project(tmp_path / "p", posed)
    (folder / "masks").mkdir()
    for name in ("view_00.png.png", "view_02.png"):
        cv2.imwrite(str(folder / "masks" / name), np.full((60, 80), 255, np.uint8))
    found = open_project(folder, tmp_path / "cache")
    assert found.mask("view_00.png") == folder / "masks" / "view_00.png.png"
    assert found.mask("view_02.png") == folder / "masks" / "view_02.png" and found.mask("view_01.png") is None


def test_what_is_no_project(posed: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no camera poses"):
        open_project(posed / "images", tmp_path / "cache")
    with pytest.raises(UsageError, match="no such folder"):
        open_project(tmp_path / "none", tmp_path / "cache")
    write_model(tmp_path / "wide" / "sparse", ColmapModel({}, (), *(np.zeros((0, 3)),) * 2, *(np.zeros(0),) * 2))
    with pytest.raises(InvalidArtifact, match="has 0 images"):
        open_project(tmp_path / "wide", tmp_path / "cache")
