from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from reconstruction_pipeline.artifacts import CameraPoses, DepthMaps, Gaussians, GaussianSplats
from reconstruction_pipeline.artifacts.depth_fusion import fuse_points
from reconstruction_pipeline.artifacts.errors import Cancelled, StageFailed
from reconstruction_pipeline.artifacts.ply import write_ply
from reconstruction_pipeline.artifacts.progress import NullProgress, RecordingProgress
from reconstruction_pipeline.stages.mesh import MeshSettings, extract_mesh
from reconstruction_pipeline_tests.analytic_scene import (
    BOX_LOW,
    FLOOR_Y,
    WALL_NORMAL,
    WALL_OFFSET,
    make_scene,
    write_poses,
)
from reconstruction_pipeline_tests.stages.mesh.test_gltf_readers import validated

SETTINGS = MeshSettings(resolution=96, max_faces=20_000, threads=2)


def _splats(folder: Path, poses: CameraPoses, depths: list[np.ndarray], opacity: float) -> GaussianSplats:
    """Flat Gaussians that tile the true surfaces."""
    (folder / "depth").mkdir(parents=True)
    for name, depth in zip([i.name for i in poses.model().images], depths, strict=True):
        np.savez(folder / "depth" / f"{name}.npz", depth=depth, confidence=np.ones(depth.shape, np.float16))
    points = fuse_points(poses, DepthMaps(folder=folder), 12_000)
    n = len(points.xyz)
    # The rotation that takes z to the normal: axis z x normal, half-angle form.
    quats = np.column_stack([1 + points.normals[:, 2], -points.normals[:, 1], points.normals[:, 0], np.zeros(n)])
    quats /= np.maximum(np.linalg.norm(quats, axis=1, keepdims=True), 1e-6)
    scales = np.log(np.column_stack([points.radius, points.radius, 0.1 * points.radius]))
    sh = np.zeros((n, 16, 3), np.float32)
    sh[:, 0] = (points.rgb / 255 - 0.5) / 0.28209479
    logits = np.full(n, np.log(opacity / (1 - opacity)), np.float32)
    write_ply(
        folder / "scene.ply", Gaussians(points.xyz, scales.astype(np.float32), quats.astype(np.float32), logits, sh)
    )
    return GaussianSplats(folder=folder)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory):
    scene = make_scene(6)
    poses = write_poses(tmp_path_factory.mktemp("mesh") / "poses", scene)
    return poses, _splats(tmp_path_factory.mktemp("splats"), poses, scene.depths, 0.9), scene


@pytest.fixture(scope="module")
def extracted(inputs, tmp_path_factory: pytest.TempPathFactory):
    progress = RecordingProgress()
    mesh = extract_mesh(inputs[1], inputs[0], SETTINGS, tmp_path_factory.mktemp("out"), progress)
    return mesh, progress


def test_the_mesh_is_the_surface(extracted) -> None:
    """In the y-down world of the poses: the floor at +y, the wall behind, the box's front before it."""
    vertices = np.asarray(extracted[0].trimesh().vertices)
    wall = np.abs(vertices @ WALL_NORMAL - WALL_OFFSET) / np.linalg.norm(WALL_NORMAL)
    floor, front = np.abs(vertices[:, 1] - FLOOR_Y), np.abs(vertices[:, 2] - BOX_LOW[2])
    nearest = np.minimum(np.minimum(wall, floor), front)
    voxel = extracted[0].metrics["voxel_size"]
    assert np.median(nearest) < 0.5 * voxel
    assert np.mean(nearest < 2 * voxel) > 0.85
    for surface in (wall, floor, front):
        assert np.mean(surface < voxel) > 0.05


def test_metrics_gates_files_and_previews(extracted) -> None:
    mesh, progress = extracted
    mesh.validate()
    read = mesh.trimesh()
    assert (len(read.vertices), len(read.faces)) == (mesh.metrics["vertices"], mesh.metrics["faces"])
    assert 1000 < mesh.metrics["faces"] <= SETTINGS.max_faces
    assert mesh.metrics["coverage"] > 0.8 and mesh.metrics["fallback_level"] == 0
    assert [g.name for g in mesh.verdict.gates if not g.passed] == []
    assert mesh.path("mesh.obj").stat().st_size > 10_000
    assert validated(mesh.path("mesh.glb"))["info"]["totalTriangleCount"] == mesh.metrics["faces"]
    assert mesh.path("mesh.glb").stat().st_size < 30e6 and mesh.metrics["texture_px"] <= 4096
    assert len(mesh.previews()) == 5
    assert all(1000 < p.stat().st_size <= 60_000 for p in mesh.previews())
    done = [r[1] for r in progress.reports]
    assert done == sorted(done) and done[-1] == 100


def test_colours_are_those_of_the_scene(inputs, extracted) -> None:
    from scipy.spatial import cKDTree

    read, model = extracted[0].trimesh(), inputs[0].model()
    distance, nearest = cKDTree(np.asarray(read.vertices)).query(model.xyz)
    close = distance < 0.02
    found = np.asarray(read.visual.vertex_colors)[nearest[close], :3].astype(int)
    assert close.sum() > 100
    assert np.median(np.abs(found - model.rgb[close])) < 20


def test_measured_depth_is_fused_where_there_is_some(inputs, extracted, tmp_path: Path) -> None:
    poses, splats, _ = inputs
    mesh = extract_mesh(splats, poses, SETTINGS, tmp_path / "out", NullProgress(), depth_maps=DepthMaps(splats.folder))
    assert mesh.metrics["depth_sources"] == "rendered and measured"
    assert extracted[0].metrics["depth_sources"] == "rendered alone"
    vertices = np.asarray(mesh.trimesh().vertices)
    wall = np.abs(vertices @ WALL_NORMAL - WALL_OFFSET) / np.linalg.norm(WALL_NORMAL)
    nearest = np.minimum(np.minimum(wall, np.abs(vertices[:, 1] - FLOOR_Y)), np.abs(vertices[:, 2] - BOX_LOW[2]))
    assert np.median(nearest) < 0.5 * mesh.metrics["voxel_size"]
    assert mesh.metrics["coverage"] > 0.8


def test_no_surface_fails_in_words(inputs, tmp_path: Path) -> None:
    faint = _splats(tmp_path / "faint", inputs[0], inputs[2].depths, 0.02)
    with pytest.raises(StageFailed, match="no surface"):
        extract_mesh(faint, inputs[0], SETTINGS, tmp_path / "out", NullProgress())
    assert not (tmp_path / "out").exists()


def test_it_can_be_cancelled(inputs, tmp_path: Path) -> None:
    with pytest.raises(Cancelled):
        extract_mesh(inputs[1], inputs[0], SETTINGS, tmp_path / "out", RecordingProgress(cancel_after=3))


def test_a_torn_or_misplaced_mesh_warns() -> None:
    from reconstruction_pipeline.stages.mesh.gates import verdict_of

    metrics = {"faces": 10, "components": 9, "largest_component_share": 0.2, "inside_bounds": 0.5, "coverage": 0.1}
    assert [g.passed for g in verdict_of(metrics, SETTINGS)] == [True, False, False, False]
    assert {g.severity for g in verdict_of(metrics, SETTINGS)} == {"warn"}
