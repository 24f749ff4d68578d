"""transforms.json in the dialects of nerfstudio, instant-ngp and the synthetic NeRF scenes."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from reconstruction_pipeline.artifacts.colmap import Camera, ColmapModel
from reconstruction_pipeline.artifacts.errors import InvalidArtifact
from reconstruction_pipeline.artifacts.projects import is_project
from reconstruction_pipeline.artifacts.projects.nerfstudio import read_transforms
from reconstruction_pipeline.stages.poses.imports import open_project
from reconstruction_pipeline.stages.poses.transforms import transforms_json

# z-up, as nerfstudio's worlds are: x stays, our down (y) is -z, our forward (z) is y.
TO_Z_UP = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])


@pytest.fixture
def document(truth: ColmapModel) -> dict[str, Any]:
    """The true poses in nerfstudio's conventions, made here from the definitions and by nothing under test."""
    fx, fy, cx, cy = truth.cameras[1].pinhole()
    frames = []
    for image in truth.images:
        right, down, forward = (TO_Z_UP @ axis for axis in image.rotation)
        matrix = np.eye(4)
        matrix[:3] = np.stack([right, -down, -forward, TO_Z_UP @ image.center], axis=1)
        frames.append({"file_path": f"./images/{image.name}", "transform_matrix": matrix.tolist(), "sharpness": 3.0})
    intrinsics = {"fl_x": fx, "fl_y": fy, "cx": cx, "cy": cy, "w": 80.0, "h": 60.0}
    return {**intrinsics, "aabb_scale": 4, "scale": 0.3, "offset": [1, 2, 3], "frames": frames}


def write(folder: Path, document: dict[str, Any], posed: Path) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "transforms.json").write_text(json.dumps(document))
    shutil.copytree(posed / "images", folder / "images", dirs_exist_ok=True)
    return folder


def test_points_land_on_the_same_pixels(
    posed: Path, truth: ColmapModel, document: dict[str, Any], tmp_path: Path
) -> None:
    folder = write(tmp_path / "p", document, posed)
    found = open_project(folder, tmp_path / "cache", need_points=False)
    assert is_project(folder) and is_project(folder / "transforms.json")
    assert found.model.cameras == truth.cameras and found.pictures == folder / "images"
    fx, fy, cx, cy = truth.cameras[1].pinhole()
    for image, true in zip(found.model.images, truth.images, strict=True):
        assert image.name == true.name
        world = truth.xyz[true.point_rows] @ TO_Z_UP.T  # the file's world is kept
        local = world @ image.rotation.T + image.translation
        assert (local[:, 2] > 0).all()
        np.testing.assert_allclose(local[:, :2] / local[:, 2:] * [fx, fy] + [cx, cy], true.xy, atol=1e-6)


def test_what_we_export_comes_back(posed: Path, truth: ColmapModel, tmp_path: Path) -> None:
    folder = write(tmp_path / "p", transforms_json(truth), posed)
    found = open_project(folder / "transforms.json", tmp_path / "cache", need_points=False).model
    for image, true in zip(found.images, truth.images, strict=True):
        np.testing.assert_allclose(image.rotation, true.rotation, atol=1e-12)
        np.testing.assert_allclose(image.translation, true.translation, atol=1e-12)


def test_missing_pictures(posed: Path, document: dict[str, Any], tmp_path: Path) -> None:
    folder = write(tmp_path / "p", document, posed)
    (folder / "images" / "view_01.png").unlink()
    (folder / "images" / "view_04.png").unlink()
    found = open_project(folder, tmp_path / "cache", need_points=False)
    assert [i.name for i in found.model.images] == ["view_00.png", "view_02.png", "view_03.png"]
    assert found.notes == ("2 of 5 frames of transforms.json have no picture and are left out.",)
    shutil.rmtree(folder / "images")
    with pytest.raises(InvalidArtifact, match=r"none of the pictures .*5 frames, such as './images/view_00.png'"):
        open_project(folder, tmp_path / "cache")


def test_the_synthetic_scenes_give_an_angle_and_no_extension(
    posed: Path, document: dict[str, Any], tmp_path: Path
) -> None:
    for frame in document["frames"]:
        frame["file_path"] = frame["file_path"].removesuffix(".png")
    short = {"camera_angle_x": 2 * math.atan(40 / 70), "frames": document["frames"]}
    folder = write(tmp_path / "p", short, posed)
    (folder / "transforms.json").rename(folder / "transforms_train.json")
    (camera,) = open_project(folder, tmp_path / "cache", need_points=False).model.cameras.values()
    assert (camera.width, camera.height) == (80, 60)
    np.testing.assert_allclose(camera.params, [70, 70, 40, 30])


@pytest.mark.parametrize(
    ("values", "camera"),
    [
        ({"k1": 0.1, "p2": 0.01}, Camera("OPENCV", 80, 60, (70, 71, 41, 29, 0.1, 0, 0, 0.01))),
        ({"k1": 0.1, "k3": 0.2}, Camera("FULL_OPENCV", 80, 60, (70, 71, 41, 29, 0.1, 0, 0, 0, 0.2, 0, 0, 0))),
        (
            {"camera_model": "OPENCV_FISHEYE", "k1": 0.1, "k4": 0.3},
            Camera("OPENCV_FISHEYE", 80, 60, (70, 71, 41, 29, 0.1, 0, 0, 0.3)),
        ),
        ({"is_fisheye": True}, Camera("OPENCV_FISHEYE", 80, 60, (70, 71, 41, 29, 0, 0, 0, 0))),
        ({"k1": 0.0, "camera_model": "PINHOLE"}, Camera("PINHOLE", 80, 60, (70, 71, 41, 29))),
    ],
)
def test_lenses_of_the_file_and_of_a_frame(
    posed: Path, document: dict[str, Any], tmp_path: Path, values: dict[str, Any], camera: Camera
) -> None:
    document |= {"fl_x": 70, "fl_y": 71, "cx": 41, "cy": 29, **values}
    document["frames"][2] |= {"fl_x": 35, "fl_y": 35.5}
    found = read_transforms(write(tmp_path / "p", document, posed) / "transforms.json").model
    assert found.cameras[found.images[0].camera_id] == camera
    assert found.cameras[found.images[2].camera_id].params[:4] == (35, 35.5, 41, 29)
    assert len(found.cameras) == 2


def test_points_and_masks_that_come_with_it(
    posed: Path, truth: ColmapModel, document: dict[str, Any], tmp_path: Path
) -> None:
    folder = write(tmp_path / "p", document, posed)
    rows = "".join(f"{x} {y} {z} {r} {g} {b}\n" for (x, y, z), (r, g, b) in zip(truth.xyz, truth.rgb, strict=True))
    fields = [f"property double {axis}" for axis in "xyz"] + [f"property uchar {c}" for c in ("red", "green", "blue")]
    header = "\n".join(["ply", "format ascii 1.0", f"element vertex {len(truth.xyz)}", *fields, "end_header\n"])
    (folder / "sparse_pc.ply").write_text(header + rows)
    (folder / "holes").mkdir()
    cv2.imwrite(str(folder / "holes" / "a.png"), np.full((60, 80), 255, np.uint8))
    document["frames"][1]["mask_path"] = "holes/a.png"
    found = open_project(write(folder, document, posed), tmp_path / "cache")
    np.testing.assert_allclose(found.model.xyz, truth.xyz, rtol=1e-6)
    np.testing.assert_array_equal(found.model.rgb, truth.rgb)
    assert found.mask("view_01.png") == folder / "holes" / "a.png" and found.mask("view_00.png") is None
    assert found.notes == () and not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"frames": {}}, "no list 'frames'"),
        ({"frames": []}, "none of the pictures"),
        ({"camera_model": "EQUIRECTANGULAR"}, "EQUIRECTANGULAR"),
        ({"k4": 0.1}, "k4"),
        ({"fl_x": 0}, "focal length of 'view_00.png'"),
        ({"fl_x": "wide"}, "intrinsics of 'view_00.png'"),
    ],
)
def test_what_cannot_be_read_is_said(
    posed: Path, document: dict[str, Any], tmp_path: Path, change: dict[str, Any], says: str
) -> None:
    with pytest.raises(InvalidArtifact, match=says):
        open_project(write(tmp_path / "p", document | change, posed), tmp_path / "cache")


@pytest.mark.parametrize("matrix", [None, [[1, 2], [3, 4]], np.diag([1, 1, -1, 1]).tolist(), np.zeros((4, 4)).tolist()])
def test_a_matrix_that_is_no_pose(posed: Path, document: dict[str, Any], tmp_path: Path, matrix: Any) -> None:
    document["frames"][3]["transform_matrix"] = matrix
    with pytest.raises(InvalidArtifact, match=r"transform_matrix of 'view_03.png'"):
        open_project(write(tmp_path / "p", document, posed), tmp_path / "cache")


def test_broken_json(tmp_path: Path) -> None:
    (tmp_path / "transforms.json").write_text('{"frames": [')
    with pytest.raises(InvalidArtifact, match="not a JSON file"):
        open_project(tmp_path, tmp_path / "cache")
