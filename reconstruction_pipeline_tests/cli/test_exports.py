"""`export`: what it writes is read back, by our own readers and, for COLMAP, by pycolmap."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from reconstruction_pipeline.artifacts import CameraPoses
from reconstruction_pipeline.artifacts.store import ArtifactStore
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
    assert (cli("export", "nowhere", "--for", "colmap").code, cli("export", "x", "--for", "postshot").code) == (3, 2)
    assert "no camera_poses stored yet" in cli("export", "nowhere", "--for", "colmap").error
    assert "no deliverables" in cli("export", tmp_path, "--for", "colmap").error
