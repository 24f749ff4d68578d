"""A surface by another program: coloured, textured and judged like ours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh

from reconstruction_pipeline.artifacts import CameraPoses, GaussianSplats
from reconstruction_pipeline.artifacts.errors import StageFailed
from reconstruction_pipeline.artifacts.ply import write_ply
from reconstruction_pipeline.artifacts.progress import NullProgress
from reconstruction_pipeline.external.stage import ExternalStage
from reconstruction_pipeline.orchestration.gates import MESH
from reconstruction_pipeline.stages.mesh import MeshSettings, extract_mesh
from reconstruction_pipeline_tests.analytic_scene import FLOOR_Y, WALL_NORMAL, WALL_OFFSET
from reconstruction_pipeline_tests.external.programs import program
from reconstruction_pipeline_tests.external.scene import posed, splats_of

SETTINGS = MeshSettings(render_side=160, resolution=64, max_faces=3000, texture_side=160, max_texture=512)
MESHER = {
    "stage": "meshing",
    "reads": {"splats": "3dgs-ply", "project": "colmap"},
    "writes": {"surface.ply": "ply"},
    "environment": {"SPLATS": "{splats}", "PROJECT": "{project}"},
}


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> tuple[GaussianSplats, CameraPoses]:
    folder = tmp_path_factory.mktemp("scene")
    poses, made = posed(folder / "poses")
    (folder / "splats").mkdir()
    write_ply(folder / "splats" / "scene.ply", splats_of(made), 0)
    return GaussianSplats(folder / "splats"), poses


def wall(path: Path, cells: int = 60) -> Path:
    """The scene's slanted wall down to the floor, as a grid of triangles."""
    x, y = np.meshgrid(np.linspace(-2.5, 2.5, cells), np.linspace(-2.0, FLOOR_Y, cells))
    z = (WALL_OFFSET - WALL_NORMAL[0] * x) / WALL_NORMAL[2]
    index = np.arange(cells * cells).reshape(cells, cells)
    a, b, c, d = index[:-1, :-1].ravel(), index[:-1, 1:].ravel(), index[1:, :-1].ravel(), index[1:, 1:].ravel()
    faces = np.concatenate([np.stack([a, c, b], 1), np.stack([b, c, d], 1)])
    trimesh.Trimesh(np.stack([x, y, z], -1).reshape(-1, 3), faces, process=False).export(path)
    return path


@pytest.mark.slow
@pytest.mark.soak
def test_its_surface_is_textured_and_judged(scene: tuple[GaussianSplats, CameraPoses], tmp_path: Path) -> None:
    made = program("copy", str(wall(tmp_path / "wall.ply")), "surface.ply", **MESHER)
    result = extract_mesh(*scene, SETTINGS, tmp_path / "mesh", NullProgress(), external=ExternalStage(made))
    result.validate()
    metrics = result.metrics
    assert metrics["backend"] == "external-stand-in" and metrics["extracted_faces"] == 2 * 59 * 59
    assert 1000 < metrics["faces"] <= 3000 and metrics["components"] == 1
    gates = {gate.name: gate.passed for gate in result.verdict.gates}
    assert set(gates) <= {name for name, _ in MESH} and gates["mesh_dominant_component"]
    assert 0.2 < metrics["coverage"] < 0.9, "the wall is there, floor and box are not"
    assert "started copy" in result.path("external.log").read_text()


def test_what_is_no_mesh_is_a_failure(scene: tuple[GaussianSplats, CameraPoses], tmp_path: Path) -> None:
    for mode, said in (("garbage", "that is no mesh"), ("few", "without a single face")):
        made = program(mode, **{**MESHER, "writes": {"scene.ply": "ply"}})
        with pytest.raises(StageFailed, match=said):
            extract_mesh(*scene, SETTINGS, tmp_path / mode, NullProgress(), external=ExternalStage(made))
