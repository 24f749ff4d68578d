"""Only what was asked for: a box, the object that the cameras look at, no table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from reconstruction_pipeline.artifacts import CameraPoses, GaussianSplats
from reconstruction_pipeline.artifacts.errors import StageFailed, UsageError
from reconstruction_pipeline.artifacts.progress import NullProgress
from reconstruction_pipeline.kernels.camera import PinholeView
from reconstruction_pipeline.stages.mesh import MeshSettings, extract_mesh
from reconstruction_pipeline.stages.mesh.crop import Box, Table, coordinate, find_table, object_box
from reconstruction_pipeline.stages.mesh.region import cut_to_object
from reconstruction_pipeline.stages.mesh.rendered_depth import SurfaceView
from reconstruction_pipeline_tests.analytic_scene import BOX_HIGH, BOX_LOW, FLOOR_Y, make_scene, write_poses
from reconstruction_pipeline_tests.stages.mesh.shapes import look_at
from reconstruction_pipeline_tests.stages.mesh.test_extract import _splats

Scene = tuple[CameraPoses, GaussianSplats]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    scene = make_scene(6)
    poses = write_poses(tmp_path_factory.mktemp("crop") / "poses", scene)
    return poses, _splats(tmp_path_factory.mktemp("splats"), poses, scene.depths, 0.9)


def _around(target: np.ndarray, radius: float = 3.0) -> list[PinholeView]:
    turns = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    ring = radius * np.stack([np.cos(turns), np.full(12, -0.5), np.sin(turns)], axis=1)
    return [look_at(target + offset, target) for offset in ring]


def _surfaces() -> list[SurfaceView]:
    scene = make_scene(5)
    return [SurfaceView(d, np.ones_like(d), v) for d, v in zip(scene.depths, scene.views, strict=True)]


def test_the_object_is_what_the_cameras_look_at_from_around_it() -> None:
    target = np.array([0.7, -0.2, 1.9])
    box = object_box(_around(target))
    assert box is not None
    np.testing.assert_allclose((box.low + box.high) / 2, target, atol=1e-9)
    # Shown whole: no larger than half the field of view at that distance, which is 90 of 108 pixels high.
    distance = 3 * np.hypot(1, 0.5)
    assert (box.high - box.low)[0] / 2 == pytest.approx(distance * np.sin(np.arctan(45 / 108)))


def test_a_walk_past_a_wall_has_no_object() -> None:
    views = [look_at(np.array([x, 0.0, 0.0]), np.array([x, 0.0, 5.0])) for x in np.linspace(-2, 2, 9)]
    assert object_box(views) is None
    outwards = [look_at(view.center, 2 * view.center) for view in _around(np.zeros(3))]
    assert object_box(outwards) is None, "in the middle of a room"


def test_coordinates_are_those_of_the_points() -> None:
    surface = _surfaces()[1]
    row, column = 40, 100
    view, z = surface.view, float(surface.depth[row, column])
    local = np.array([(column + 0.5 - view.cx) / view.fx * z, (row + 0.5 - view.cy) / view.fy * z, z])
    point = local @ view.rotation + view.center
    found = [coordinate(surface, axis)[row, column] for axis in np.eye(3)]
    np.testing.assert_allclose(found, point, atol=1e-5)


def test_the_table_is_level_and_carries_most() -> None:
    rng = np.random.default_rng(2)
    tilt = np.radians(6)
    up = np.array([np.sin(tilt), -np.cos(tilt), 0.0])
    flat = rng.uniform(-1, 1, (600, 3))
    table = flat - np.outer(flat @ up, up) + 0.4 * up + np.outer(rng.normal(0, 0.003, 600), up)
    wall = np.column_stack([np.full(900, 1.0), rng.uniform(-1, 1, (900, 2))])
    thing = rng.uniform(-0.3, 0.3, (300, 3)) + 0.8 * up
    around = rng.normal(size=(300, 3))
    around /= np.linalg.norm(around, axis=1, keepdims=True)
    sides = np.vstack([np.tile([1.0, 0.0, 0.0], (900, 1)), around])
    found = find_table(np.vstack([table, wall, thing]), np.vstack([np.tile(up, (600, 1)), sides]), 0.02)
    assert found is not None
    assert np.degrees(np.arccos(found.up @ up)) < 1 and found.height == pytest.approx(0.4, abs=0.01)
    assert find_table(np.vstack([wall, thing]), sides, 0.02) is None


def test_what_lies_below_the_table_is_below() -> None:
    surface = _surfaces()[0]
    floor = Table(np.array([0.0, -1.0, 0.0]), -FLOOR_Y, 0.0)
    below = floor.is_below(surface, 0.05)
    down = coordinate(surface, np.array([0.0, 1.0, 0.0]))
    np.testing.assert_array_equal(below, down > FLOOR_Y - 0.05)
    assert 0.05 < below.mean() < 0.9


def test_cropped_without_its_table_only_the_object_is_left(inputs: Scene, tmp_path: Path) -> None:
    low, high = BOX_LOW - np.array([0.15, 0.15, 0.8]), BOX_HIGH + np.array([0.15, 0.1, -0.35])
    corners = ",".join(f"{x:.3f}" for x in (*low, *high))
    settings = MeshSettings(resolution=96, max_faces=20_000, threads=2, crop=corners, without_table=True)
    mesh = extract_mesh(inputs[1], inputs[0], settings, tmp_path / "mesh", NullProgress())
    vertices, voxel = np.asarray(mesh.trimesh().vertices), mesh.metrics["voxel_size"]
    assert np.all(vertices > low - voxel) and np.all(vertices < high + voxel)
    assert np.all(vertices[:, 1] < FLOOR_Y - voxel), "nothing of the floor"
    assert np.mean(np.abs(vertices[:, 2] - BOX_LOW[2]) < 2 * voxel) > 0.4, "the front of the box is there"
    assert mesh.metrics["table_removed"] is True and len(mesh.metrics["crop_box"]) == 6
    (gate,) = [gate for gate in mesh.verdict.gates if gate.name == "mesh_crop"]
    assert gate.passed


def test_what_cannot_be_found_is_said() -> None:
    surfaces = _surfaces()
    above = [s._replace(depth=np.where(coordinate(s, np.eye(3)[1]) < 0, s.depth, 0)) for s in surfaces]
    cut = cut_to_object(above, MeshSettings(without_table=True))
    assert not cut.gate.passed and "no table" in cut.gate.message
    assert all((a.depth == b.depth).all() for a, b in zip(above, cut.surfaces, strict=True))
    with pytest.raises(StageFailed, match="spans"):
        cut_to_object(surfaces, MeshSettings(crop="50,50,50,51,51,51"))


@pytest.mark.parametrize("crop", ["thing", "1,2,3", "0,0,0,1,1,nan", "0,0,0,1,-1,1", "0,0,0,1,1,1,1"])
def test_a_box_that_cannot_be_meant_is_refused_at_once(crop: str) -> None:
    with pytest.raises(UsageError, match="six numbers"):
        MeshSettings(crop=crop)


def test_boxes_are_read() -> None:
    box = MeshSettings(crop="-1,0,0.5, 2,3,4").box
    assert isinstance(box, Box)
    assert box.low.tolist() == [-1, 0, 0.5] and box.high.tolist() == [2, 3, 4]
    assert MeshSettings().box is None and MeshSettings(crop="object").box == "object"
