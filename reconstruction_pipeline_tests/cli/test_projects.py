"""What the commands say and leave behind when a project needs work first."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

from reconstruction_pipeline.artifacts.colmap import read_model
from reconstruction_pipeline.artifacts.gaussian_splats import Gaussians
from reconstruction_pipeline.artifacts.ply import write_ply
from reconstruction_pipeline.stages.poses.transforms import transforms_json
from reconstruction_pipeline_tests.analytic_scene import make_scene, write_poses
from reconstruction_pipeline_tests.cli.conftest import Cli


def a_scene(path: Path) -> Path:
    rng = np.random.default_rng(0)
    shape = {"means": (20, 3), "log_scales": (20, 3), "quats": (20, 4), "opacity_logits": (20,), "sh": (20, 1, 3)}
    values = {name: rng.normal(size=size).astype(np.float32) for name, size in shape.items()}
    write_ply(path, Gaussians(**values), 0)
    return path


def test_a_distorted_transforms_json_is_rendered(cli: Cli, tmp_path: Path) -> None:
    project = tmp_path / "project"
    write_poses(project, make_scene(count=3, width=64, height=48), points=60)
    document = transforms_json(read_model(project / "sparse" / "0")) | {"k1": -0.1}
    document["frames"] = [{**frame, "k1": -0.1} for frame in document["frames"]]
    document["frames"].append({**document["frames"][0], "file_path": "images/gone.png"})
    (project / "transforms.json").write_text(json.dumps(document))
    scene = a_scene(tmp_path / "scene.ply")
    done = cli("render", scene, project / "transforms.json", "--out", tmp_path / "pictures")
    assert done.code == 0, done.err
    assert "note: 1 of 4 frames of transforms.json have no picture and are left out." in done.err
    assert "note: The lens distortion (OPENCV) was removed from the pictures." in done.err
    (made,) = (tmp_path / ".project-cache").iterdir()
    straight = cv2.imread(str(made / "images" / "view_01.png"))
    rendered = cv2.imread(str(tmp_path / "pictures" / "view_01.png"))
    assert rendered.shape == straight.shape != (48, 64, 3)
    again = cli("evaluate", scene, project / "transforms.json")
    assert again.code == 0 and json.loads(again.out)["views"][0]["name"] == "view_00.png"
    assert list((tmp_path / ".project-cache").iterdir()) == [made]


def test_a_folder_with_both_is_a_colmap_project(cli: Cli, tmp_path: Path) -> None:
    project = tmp_path / "project"
    write_poses(project, make_scene(count=3, width=64, height=48), points=60)
    (project / "transforms.json").write_text("not even JSON")
    done = cli("evaluate", a_scene(tmp_path / "scene.ply"), project)
    assert done.code == 0 and not (tmp_path / ".project-cache").exists()
