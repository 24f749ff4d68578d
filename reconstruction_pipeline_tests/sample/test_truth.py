"""The ground truth agrees with the video, and with an independent ray caster."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from reconstruction_pipeline.sample import SampleCapture
from reconstruction_pipeline.sample.scene.room import LEFT


def world_points(capture: SampleCapture, index: int, depth: np.ndarray) -> np.ndarray:
    camera = capture.intrinsics
    y, x = np.mgrid[0 : camera.height, 0 : camera.width] + 0.5
    local = np.stack([(x - camera.cx) / camera.fx, (y - camera.cy) / camera.fy, np.ones_like(x)], -1) * depth[..., None]
    return (local - capture.frames.translations[index]) @ capture.frames.rotations[index]


def test_every_pixel_sees_the_room(small_sample: SampleCapture) -> None:
    for index in range(0, len(small_sample.frames), 5):
        depth = small_sample.depth(index)
        assert depth.shape == (small_sample.intrinsics.height, small_sample.intrinsics.width)
        assert depth.min() > 0.5
        assert depth.max() < 6


def test_depth_is_that_of_the_mesh_by_an_independent_ray_caster(small_sample: SampleCapture) -> None:
    o3d = pytest.importorskip("open3d")
    mesh = o3d.io.read_triangle_mesh(str(small_sample.mesh_path))
    scene = o3d.t.geometry.RaycastingScene()
    scene.add_triangles(o3d.t.geometry.TriangleMesh.from_legacy(mesh))
    index = 25
    depth = small_sample.depth(index)
    frames, camera = small_sample.frames, small_sample.intrinsics
    extrinsic = np.eye(4)
    extrinsic[:3, :3], extrinsic[:3, 3] = frames.rotations[index], frames.translations[index]
    # Open3D's pixel centres are at half integers too, and its rays have z = 1, so that t is depth.
    rays = scene.create_rays_pinhole(camera.matrix, extrinsic, camera.width, camera.height)
    expected = scene.cast_rays(rays)["t_hit"].numpy()
    difference = np.abs(depth - expected) / expected
    assert np.percentile(difference, 99) < 1e-4  # the rest are pixels on an outline


def test_depth_and_poses_carry_one_frame_onto_another(
    small_sample: SampleCapture, small_frames: list[np.ndarray]
) -> None:
    here, there = 12, 30
    depth = small_sample.depth(here)
    points = world_points(small_sample, here, depth)
    frames, camera = small_sample.frames, small_sample.intrinsics
    local = points @ frames.rotations[there].T + frames.translations[there]
    u = (camera.fx * local[..., 0] / local[..., 2] + camera.cx).astype(np.float32)
    v = (camera.fy * local[..., 1] / local[..., 2] + camera.cy).astype(np.float32)
    other_depth = cv2.remap(small_sample.depth(there), u - 0.5, v - 0.5, cv2.INTER_NEAREST, borderValue=0)
    seen = (np.abs(other_depth - local[..., 2]) < 0.02 * local[..., 2]) & (u > 1) & (v > 1)
    seen &= (u < camera.width - 1) & (v < camera.height - 1)
    assert seen.mean() > 0.5
    assert np.abs(u - np.arange(camera.width) - 0.5)[seen].mean() > 5  # the frames are well apart

    source = small_frames[here].astype(np.float32).mean(-1)
    target = small_frames[there].astype(np.float32).mean(-1)
    warped = cv2.remap(target, u - 0.5, v - 0.5, cv2.INTER_LINEAR)
    correlation = np.corrcoef(source[seen], warped[seen])[0, 1]
    still = np.corrcoef(source[seen], target[seen])[0, 1]
    shifted = cv2.remap(target, u + 1.5, v - 0.5, cv2.INTER_LINEAR)
    assert correlation > 0.95
    assert correlation > np.corrcoef(source[seen], shifted[seen])[0, 1] + 0.02  # two pixels off is clearly worse
    assert correlation > still + 0.2


def test_the_brightness_follows_the_recorded_exposure(
    small_sample: SampleCapture, small_frames: list[np.ndarray]
) -> None:
    # What the camera sees changes little from frame to frame, so ratios of neighbours are ratios of exposure.
    linear = np.array([np.mean((frame / 255.0) ** 2.2) for frame in small_frames])
    measured, recorded = np.diff(np.log(linear)), np.diff(np.log(small_sample.frames.exposures))
    assert np.corrcoef(measured, recorded)[0, 1] > 0.5


def test_one_wall_is_weakly_textured_and_in_view(small_sample: SampleCapture, small_frames: list[np.ndarray]) -> None:
    shares, contrasts = [], []
    for index in range(0, len(small_frames), 5):
        points = world_points(small_sample, index, small_sample.depth(index))
        wall = np.abs(points[..., 0] - LEFT) < 0.01
        wall = cv2.erode(wall.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
        gray = cv2.cvtColor(small_frames[index], cv2.COLOR_RGB2GRAY).astype(np.float32)
        local = cv2.absdiff(gray, cv2.GaussianBlur(gray, (0, 0), 3))
        shares.append(wall.mean())
        if shares[-1] > 0.03:
            contrasts.append(local[wall].mean() / local[~wall].mean())
    assert max(shares) > 0.06
    assert max(contrasts) < 0.35


def test_blur_is_at_least_a_pixel_at_its_ninetieth_percentile(small_sample: SampleCapture) -> None:
    assert small_sample.summary["blur_px_p90"] >= 1.0
    assert small_sample.frames.blur_px.max() < 8


def test_the_world_is_y_down_and_the_glb_y_up(small_sample: SampleCapture) -> None:
    import trimesh

    ply, glb = trimesh.load(small_sample.mesh_path), trimesh.load(small_sample.mesh_glb_path, force="mesh")
    assert ply.bounds[1, 1] == pytest.approx(0, abs=2e-3)  # nothing lies below the floor, y = 0
    assert ply.bounds[0, 1] < -2.4
    assert small_sample.frames.centers[:, 1].max() < -1
    np.testing.assert_allclose(glb.bounds[:, 1], -ply.bounds[::-1, 1], atol=1e-5)
    np.testing.assert_allclose(glb.bounds[:, 2], -ply.bounds[::-1, 2], atol=1e-5)
