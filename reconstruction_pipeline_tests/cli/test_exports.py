"""`export`: what it writes is read back, by our own readers and, for COLMAP, by pycolmap."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
from plyfile import PlyData

from reconstruction_pipeline.artifacts import CameraPoses
from reconstruction_pipeline.artifacts.colmap import write_model
from reconstruction_pipeline.artifacts.errors import UsageError
from reconstruction_pipeline.artifacts.store import ArtifactStore
from reconstruction_pipeline.stages.poses.export import export_poses
from reconstruction_pipeline.stages.poses.imports import open_project
from reconstruction_pipeline_tests.analytic_scene import make_scene, write_poses
from reconstruction_pipeline_tests.cli.conftest import Cli

READ = """
import sys, zlib, pycolmap
model = pycolmap.Reconstruction(sys.argv[1])
print(model.num_reg_images(), model.num_points3D(), round(model.compute_mean_reprojection_error(), 6))
"""


@pytest.fixture
def stored(storage: Path, tmp_path: Path) -> CameraPoses:
    """Poses of the asymmetric scene in the storage, as the video 'walk'; its second view has a mask."""
    poses = write_poses(tmp_path / "made", make_scene(count=3, width=64, height=48), points=1500)
    (poses.folder / "masks").mkdir()
    cv2.imwrite(str(poses.folder / "masks" / "view_01.png.png"), np.full((48, 64), 255, np.uint8))
    return ArtifactStore(storage, tmp_path / "scratch").publish("walk", poses)


@pytest.mark.parametrize("tool", ["colmap", "opensplat"])
def test_for_colmap_and_its_readers(cli: Cli, stored: CameraPoses, tmp_path: Path, tool: str) -> None:
    done = cli("export", "walk", "--for", tool, "--out", tmp_path / "out")
    assert (done.code, done.out) == (0, f"{tmp_path / 'out'}: 3 images with poses for {tool}\n")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["images", "masks", "sparse"]
    arguments = [sys.executable, "-c", READ, str(tmp_path / "out" / "sparse" / "0")]
    read = subprocess.run(arguments, capture_output=True, text=True, check=True).stdout.split()
    assert read[:2] == ["3", str(len(stored.model().xyz))] and float(read[2]) < 0.5


def test_for_nerfstudio(cli: Cli, stored: CameraPoses, tmp_path: Path) -> None:
    done = cli("export", "walk", "--for", "nerfstudio", "--out", tmp_path / "out")
    assert done.code == 0, done.err
    document = json.loads((tmp_path / "out" / "transforms.json").read_text())
    assert [frame.get("mask_path") for frame in document["frames"]] == [None, "masks/view_01.png.png", None]
    found, true = open_project(tmp_path / "out", tmp_path / "cache"), stored.model()
    np.testing.assert_allclose(found.model.centers, true.centers, atol=1e-9)
    np.testing.assert_allclose(found.model.xyz, true.xyz, rtol=1e-6)
    np.testing.assert_array_equal(found.model.rgb, true.rgb)
    assert list(found.masks) == ["view_01.png"]
    for image in true.images:
        assert found.picture(image.name).read_bytes() == stored.image_path(image.name).read_bytes()


def test_for_postshot(cli: Cli, stored: CameraPoses, tmp_path: Path) -> None:
    done = cli("export", "walk", "--for", "postshot", "--out", tmp_path / "out")
    assert done.code == 0, done.err
    read = CameraPoses(tmp_path / "out").model()
    assert [image.name for image in read.images] == [image.name for image in stored.model().images]
    assert [path.name for path in (tmp_path / "out" / "masks").iterdir()] == ["view_01.png"], "as its picture"


def test_for_metashape(cli: Cli, stored: CameraPoses, tmp_path: Path) -> None:
    """Its own camera model takes the points to where COLMAP saw them, half a pixel of the scene's truth at most."""
    done = cli("export", "walk", "--for", "metashape", "--out", tmp_path / "out")
    assert done.code == 0, done.err
    assert [path.name for path in (tmp_path / "out" / "masks").iterdir()] == ["view_01_mask.png"]
    vertices = PlyData.read(str(tmp_path / "out" / "sparse_pc.ply"))["vertex"]
    points, true = np.column_stack([vertices[axis] for axis in "xyz"]), stored.model()
    chunk = ElementTree.parse(tmp_path / "out" / "cameras.xml").getroot()[0]
    cameras = {camera.get("label"): camera for camera in chunk.findall("cameras/camera")}
    assert sorted(cameras) == sorted(path.stem for path in (tmp_path / "out" / "images").iterdir())
    for image in true.images:
        camera = cameras[Path(image.name).stem]
        sensor = chunk.find(f"sensors/sensor[@id='{camera.get('sensor_id')}']")
        size, lens = sensor.find("resolution"), {p.tag: p.text for p in sensor.find("calibration")}
        f, b1, cx, cy = (float(lens[name]) for name in ("f", "b1", "cx", "cy"))
        to_world = np.array(camera.find("transform").text.split(), float).reshape(4, 4)
        inside = (points[image.point_rows] - to_world[:3, 3]) @ to_world[:3, :3]
        x, y = (inside[:, :2] / inside[:, 2:]).T
        u = float(size.get("width")) / 2 + cx + x * (f + b1)
        v = float(size.get("height")) / 2 + cy + y * f
        np.testing.assert_allclose(np.column_stack([u, v]), image.xy, atol=0.5)


def test_pictures_in_folders_are_laid_side_by_side_for_tools_that_know_them_by_name(tmp_path: Path) -> None:
    poses = write_poses(tmp_path / "made", make_scene(count=3, width=64, height=48), points=60)
    model, pictures = poses.model(), poses.folder / "images"
    moved = [replace(image, name=f"left/{image.name}") for image in model.images[:1]] + list(model.images[1:])
    (pictures / "left").mkdir()
    (pictures / model.images[0].name).rename(pictures / moved[0].name)
    write_model(poses.folder / "sparse" / "0", replace(model, images=tuple(moved)))
    assert export_poses(poses, "postshot", tmp_path / "out") == 3
    assert {path.name for path in (tmp_path / "out" / "images").iterdir()} == {
        f"left_{model.images[0].name}",
        *(image.name for image in model.images[1:]),
    }
    write_model(
        poses.folder / "sparse" / "0", replace(model, images=(*moved, replace(moved[0], name="left_view_00.jpg")))
    )
    with pytest.raises(UsageError, match="cannot tell apart"):
        export_poses(poses, "metashape", tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_from_a_folder_of_deliverables_into_the_working_folder(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_poses(tmp_path / "results" / "walk" / "colmap", make_scene(count=3, width=64, height=48), points=60)
    monkeypatch.chdir(tmp_path)
    done = cli("export", "results/walk", "--for", "colmap")
    assert done.code == 0 and (tmp_path / "walk-colmap" / "sparse" / "0" / "cameras.bin").is_file()
    again = cli("export", "results/walk", "--for", "colmap")
    assert (again.code, "is not empty" in again.error) == (2, True)


def test_what_cannot_be_exported_is_said(cli: Cli, storage: Path, tmp_path: Path) -> None:
    assert (cli("export", "nowhere", "--for", "colmap").code, cli("export", "x", "--for", "blender").code) == (3, 2)
    assert "no camera_poses stored yet" in cli("export", "nowhere", "--for", "colmap").error
    assert "no deliverables" in cli("export", tmp_path, "--for", "colmap").error
