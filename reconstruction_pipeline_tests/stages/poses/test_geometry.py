"""Moving, orienting, thinning and writing sparse models."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from reconstruction_pipeline.artifacts.colmap import (
    Camera,
    ColmapModel,
    PosedImage,
    read_model,
    rotation_of,
    write_model,
)
from reconstruction_pipeline.stages.poses import transforms_json
from reconstruction_pipeline.stages.poses.geometry import (
    Similarity,
    drop_images,
    largest_ray_angles,
    move,
    quaternion_of,
    turning_residual,
    upright,
)
from reconstruction_pipeline.stages.poses.orientation import find_gravity
from reconstruction_pipeline.stages.poses.pairs import sequential_pairs, signatures, similar_pairs


def random_rotation(rng: np.random.Generator) -> np.ndarray:
    return rotation_of(tuple(rng.normal(size=4)))


def orbit_model(views: int = 12, points: int = 200, roll: float = 0.0, sweep: float = 2.0) -> ColmapModel:
    """Level cameras (but for `roll`, the deviation in radians) that look 30 degrees down; y-down world."""
    rng = np.random.default_rng(0)
    xyz = rng.uniform([-1, -0.6, -1], [1, 0.6, 1], (points, 3))
    camera = Camera("PINHOLE", 640, 480, (500.0, 510.0, 320.0, 240.0))
    images = []
    for i, angle in enumerate(np.linspace(0, sweep, views)):
        center = np.array([4 * np.sin(angle), -2.3, -4 * np.cos(angle)])
        forward = -center / np.linalg.norm(center)
        right = np.cross([0, 1.0, 0], forward)
        right /= np.linalg.norm(right)
        level = np.stack([right, np.cross(forward, right), forward])
        turn = roll * rng.normal()
        rolled = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]]) @ level
        quaternion = quaternion_of(rolled)
        seen = xyz @ rolled.T - rolled @ center
        xy = np.column_stack([500 * seen[:, 0] / seen[:, 2] + 320, 510 * seen[:, 1] / seen[:, 2] + 240])
        translation = -rolled @ center
        images.append(PosedImage(f"{i:03d}.jpg", 1, quaternion, rolled, translation, xy, np.arange(points)))
    errors, tracks = np.full(points, 0.5), np.full(points, views)
    return ColmapModel({1: camera}, tuple(images), xyz, np.full((points, 3), 99, np.uint8), errors, tracks)


def projections(model: ColmapModel) -> np.ndarray:
    result = []
    for image in model.images:
        seen = model.xyz[image.point_rows] @ image.rotation.T + image.translation
        fx, fy, cx, cy = model.cameras[image.camera_id].pinhole()
        result.append(np.column_stack([fx * seen[:, 0] / seen[:, 2] + cx, fy * seen[:, 1] / seen[:, 2] + cy]))
    return np.concatenate(result)


def test_quaternions_invert_rotations() -> None:
    rng = np.random.default_rng(0)
    half_turns = [np.diag([1.0, -1, -1]), np.diag([-1.0, -1, 1]), np.eye(3)]
    for rotation in [*half_turns, *(random_rotation(rng) for _ in range(50))]:
        assert np.allclose(rotation_of(quaternion_of(rotation)), rotation, atol=1e-9)


def test_moving_a_model_changes_no_image() -> None:
    rng = np.random.default_rng(1)
    model = orbit_model()
    moved = move(model, Similarity(2.5, random_rotation(rng), rng.normal(size=3)))
    assert np.allclose(projections(moved), projections(model))
    assert np.allclose(projections(model), np.concatenate([i.xy for i in model.images]))


@pytest.mark.parametrize(("roll", "degrees"), [(0.0, 0.5), (0.1, 4.0)])
def test_up_is_found_whatever_the_frame(roll: float, degrees: float) -> None:
    rng = np.random.default_rng(2)
    for _ in range(5):
        turn = random_rotation(rng)
        model = move(orbit_model(views=40, roll=roll), Similarity(0.3, turn, rng.normal(size=3)))
        up = find_gravity(model).up
        assert np.degrees(np.arccos(up @ turn @ [0, -1, 0])) < degrees


def test_a_ground_plane_decides_when_the_cameras_hardly_turn() -> None:
    rng = np.random.default_rng(3)
    model = orbit_model(sweep=0.05)
    floor = np.column_stack([rng.uniform(-3, 3, 600), np.full(600, 1.0), rng.uniform(-3, 3, 600)])
    with_floor = replace(model, xyz=np.vstack([model.xyz, floor]))
    alone = np.degrees(np.arccos(find_gravity(model).up @ [0, -1, 0]))
    helped = np.degrees(np.arccos(find_gravity(with_floor).up @ [0, -1, 0]))
    assert helped < 1.0 < alone


def test_the_delivered_world_is_upright_centred_and_of_unit_size() -> None:
    rng = np.random.default_rng(4)
    turn = random_rotation(rng)
    model = move(orbit_model(), Similarity(7.0, turn, np.array([9.0, 9, 9])))
    placement = upright(model, find_gravity(model).up)
    result = move(model, placement)
    assert np.allclose(placement.matrix()[:3, :3] / placement.scale @ turn @ [0, 1, 0], [0, 1, 0], atol=0.02)
    assert np.allclose(np.median(result.xyz, axis=0), 0, atol=1e-9)
    spread = np.linalg.norm(result.centers - np.median(result.centers, axis=0), axis=1)
    assert np.percentile(spread, 90) == pytest.approx(1.0)
    forward = np.mean([i.rotation[2] for i in result.images], axis=0)
    assert abs(forward[0]) < 1e-6 < forward[2], "views run along +z"
    assert (result.centers[:, 1] < 0).all(), "cameras are above the scene, and y points down"


def test_dropping_images_keeps_tracks_consistent(tmp_path: Path) -> None:
    model = orbit_model(views=4, points=30)
    first_only = np.arange(30) < 10
    images = [
        PosedImage(i.name, 1, i.quaternion, i.rotation, i.translation, i.xy[keep], i.point_rows[keep])
        for n, i in enumerate(model.images)
        for keep in [np.ones(30, bool) if n < 2 else ~first_only]
    ]
    model = ColmapModel(model.cameras, tuple(images), model.xyz, model.rgb, model.errors, np.where(first_only, 2, 4))
    left = drop_images(model, {"000.jpg"})
    assert [i.name for i in left.images] == ["001.jpg", "002.jpg", "003.jpg"]
    assert len(left.xyz) == 20 and set(left.track_lengths) == {3}
    assert np.allclose(projections(left), np.concatenate([i.xy for i in left.images]))
    write_model(tmp_path / "0", left)
    again = read_model(tmp_path / "0")
    assert np.allclose(again.xyz, left.xyz)
    assert all(np.array_equal(a.point_rows, b.point_rows) for a, b in zip(again.images, left.images, strict=True))


def test_ray_angles() -> None:
    model = orbit_model(views=2, points=50, sweep=np.pi / 2)
    expected = np.degrees(np.arccos((2.3**2) / (16 + 2.3**2)))
    assert np.median(largest_ray_angles(model)) == pytest.approx(expected, rel=0.1)


def test_a_scene_made_up_from_turning_is_recognised() -> None:
    model = orbit_model(views=12)
    real = turning_residual(model)
    assert real is not None and real > 0.1
    turning = []
    for i, image in enumerate(model.images):
        angle = 0.04 * i
        turn = np.array([[np.cos(angle), 0, -np.sin(angle)], [0, 1, 0], [np.sin(angle), 0, np.cos(angle)]])
        seen = (model.xyz + np.array([0.0, 0.0, 4.0])) @ turn.T
        xy = np.column_stack([500 * seen[:, 0] / seen[:, 2] + 320, 500 * seen[:, 1] / seen[:, 2] + 240])
        turning.append(replace(image, xy=xy))
    made_up = turning_residual(replace(model, images=tuple(turning)))
    assert made_up is not None and made_up < 0.02


def test_transforms_json_is_what_nerfstudio_reads() -> None:
    model = orbit_model(views=3)
    document = json.loads(json.dumps(transforms_json(model, "colmap/images/")))
    frame, image = document["frames"][1], model.images[1]
    assert frame["file_path"] == "colmap/images/001.jpg"
    assert (document["fl_x"], document["fl_y"], document["w"], document["h"]) == (500.0, 510.0, 640, 480)
    to_world = np.array(frame["transform_matrix"])
    assert np.allclose(to_world[:3, 3], image.center)
    assert np.allclose(to_world[:3, 2], -image.rotation[2]), "an OpenGL camera looks along its -z"
    assert np.allclose(to_world[:3, 1], -image.rotation[1]), "and its y points up in the image"
    assert np.linalg.det(to_world[:3, :3]) == pytest.approx(1.0)


def test_pairs_in_a_sequence() -> None:
    pairs = sequential_pairs(40, 4)
    assert {(0, 1), (0, 4), (0, 8), (0, 16)} <= pairs
    assert (0, 5) not in pairs
    assert all(0 <= i < j < 40 for i, j in pairs)


def test_a_closed_loop_is_seen_in_the_signatures() -> None:
    rng = np.random.default_rng(0)
    places = rng.integers(0, 255, (20, 120, 128))
    route = [*range(20), *range(3)]  # comes back to the first three places
    descriptors = [np.clip(places[p] + rng.normal(0, 6, (120, 128)), 0, 255).astype(np.uint8) for p in route]
    found = similar_pairs(signatures(descriptors), 1, min_distance=5)
    assert {(0, 20), (1, 21), (2, 22)} <= found
