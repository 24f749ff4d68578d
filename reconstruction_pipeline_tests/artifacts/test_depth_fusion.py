from __future__ import annotations

import numpy as np
import pytest

from reconstruction_pipeline.artifacts import CameraPoses, DepthMaps
from reconstruction_pipeline.artifacts.depth_fusion import FusedPoints, fuse_points, sparse_elsewhere
from reconstruction_pipeline.artifacts.views import pinhole_view
from reconstruction_pipeline_tests.analytic_scene import (
    BOX_LOW,
    FLOOR_Y,
    WALL_NORMAL,
    WALL_OFFSET,
    make_scene,
    write_poses,
)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> tuple[CameraPoses, DepthMaps]:
    scene = make_scene(5)
    poses = write_poses(tmp_path_factory.mktemp("fusion") / "poses", scene)
    folder = tmp_path_factory.mktemp("maps")
    (folder / "depth").mkdir()
    for name, depth in zip(scene.names, scene.depths, strict=True):
        confidence = np.full(depth.shape, 0.9, np.float16)
        confidence[:, :20] = 0.1
        np.savez(folder / "depth" / f"{name}.npz", depth=depth, confidence=confidence)
    return poses, DepthMaps(folder=folder)


def _distance(xyz: np.ndarray) -> np.ndarray:
    """To the nearest of wall, floor and the box's front."""
    wall = np.abs(xyz @ WALL_NORMAL - WALL_OFFSET) / np.linalg.norm(WALL_NORMAL)
    return np.minimum(np.minimum(wall, np.abs(xyz[:, 1] - FLOOR_Y)), np.abs(xyz[:, 2] - BOX_LOW[2]))


@pytest.mark.parametrize("limit", [50, 3000])
def test_points_lie_on_the_surfaces_within_the_limit(inputs, limit: int) -> None:
    fused = fuse_points(*inputs, max_points=limit)
    assert 0.6 * limit < len(fused.xyz) <= limit
    near = _distance(fused.xyz) < np.maximum(0.02, fused.radius)
    assert near.mean() > 0.9
    assert [a.dtype for a in fused] == [np.float32, np.uint8, np.float32, np.float32]
    assert np.all(fused.radius > 0)


def test_normals_point_at_the_cameras(inputs) -> None:
    fused = fuse_points(*inputs, max_points=4000)
    wall = np.abs(fused.xyz @ WALL_NORMAL - WALL_OFFSET) < 0.02
    floor = np.abs(fused.xyz[:, 1] - FLOOR_Y) < 0.01
    expected = -WALL_NORMAL / np.linalg.norm(WALL_NORMAL)
    assert np.median(fused.normals[wall] @ expected) > 0.99
    assert np.median(fused.normals[floor] @ [0, -1, 0]) > 0.99  # y-down: up is -y


def test_colours_come_from_the_pictures(inputs) -> None:
    """A fused point's colour is that of the sparse point beside it."""
    from scipy.spatial import cKDTree

    fused, model = fuse_points(*inputs, max_points=20_000), inputs[0].model()
    distance, nearest = cKDTree(fused.xyz).query(model.xyz)
    difference = np.abs(fused.rgb[nearest].astype(int) - model.rgb)[distance < 0.01]
    assert len(difference) > 100 and np.median(difference) < 12


def test_radius_is_about_the_spacing(inputs) -> None:
    from scipy.spatial import cKDTree

    fused = fuse_points(*inputs, max_points=2000)
    spacing = cKDTree(fused.xyz).query(fused.xyz, 2)[0][:, 1]
    assert 0.6 < np.median(spacing / fused.radius) < 1.8


def test_low_confidence_is_left_out_and_the_same_input_gives_the_same(inputs) -> None:
    first, second = (fuse_points(*inputs, max_points=1500) for _ in range(2))
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)
    assert len(fuse_points(*inputs, max_points=1500, min_confidence=0.95).xyz) == 0
    everything = fuse_points(*inputs, max_points=10**6, min_confidence=0.0)
    assert len(everything.xyz) > len(fuse_points(*inputs, max_points=10**6).xyz)


def test_only_the_named_images_take_part(inputs) -> None:
    poses, maps = inputs
    some = fuse_points(poses, maps, max_points=10**6, names=maps.names()[:1])
    view = pinhole_view(poses.model(), poses.model().images[0])
    local = some.xyz @ view.rotation.T + view.translation
    xy = local[:, :2] / local[:, 2:] * [view.fx, view.fy] + [view.cx, view.cy]
    assert np.all((local[:, 2] > 0) & np.all((xy > -1) & (xy < [view.width + 1, view.height + 1]), axis=1))
    assert 0 < len(some.xyz) < 0.7 * len(fuse_points(poses, maps, max_points=10**6).xyz)
    assert len(fuse_points(poses, maps, max_points=100, names=[]).xyz) == 0


def test_sparse_points_fill_the_gaps(inputs) -> None:
    model = inputs[0].model()
    fused = fuse_points(*inputs, max_points=5000)
    keep = fused.xyz[:, 0] < 0
    left = FusedPoints(*(field[keep] for field in fused))
    missing = sparse_elsewhere(model, left)
    assert missing[model.xyz[:, 0] > 0.5].mean() > 0.9
    assert missing[model.xyz[:, 0] < -0.2].mean() < 0.2
    nothing = FusedPoints(*(field[:0] for field in fused))
    assert sparse_elsewhere(model, nothing).all()
