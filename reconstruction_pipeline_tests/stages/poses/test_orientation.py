"""Gravity where cameras are rolled: straight edges in the pictures decide."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from reconstruction_pipeline.artifacts.colmap import ColmapModel
from reconstruction_pipeline.stages.poses.geometry import Similarity, move
from reconstruction_pipeline.stages.poses.line_segments import find_segments
from reconstruction_pipeline.stages.poses.orientation import find_gravity
from reconstruction_pipeline_tests.stages.poses.test_geometry import orbit_model, random_rotation

UP = np.array([0.0, -1.0, 0.0])


def draw_edges(model: ColmapModel, folder: Path, starts: np.ndarray, ends: np.ndarray) -> None:
    """Pictures of dark bars from `starts` to `ends`, (N, 3) in the world, before a bright background."""
    for image in model.images:
        camera = model.cameras[image.camera_id]
        fx, fy, cx, cy = camera.pinhole()
        picture = np.full((camera.height, camera.width), 220, np.uint8)
        for start, end in zip(starts, ends, strict=True):
            seen = np.array([start, end]) @ image.rotation.T + image.translation
            at = np.column_stack([fx * seen[:, 0] / seen[:, 2] + cx, fy * seen[:, 1] / seen[:, 2] + cy]) - 0.5
            first, last = (tuple(int(v) for v in np.rint(16 * p)) for p in at)
            cv2.line(picture, first, last, 40, 3, cv2.LINE_AA, shift=4)
        cv2.imwrite(str(folder / image.name), picture)


@pytest.fixture
def rolled() -> ColmapModel:
    return orbit_model(views=14, roll=0.35)


def test_upright_edges_outvote_rolled_cameras(rolled: ColmapModel, tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    feet = rng.uniform([-1.2, 0.3, -1.2], [1.2, 0.6, 1.2], (14, 3))
    draw_edges(rolled, tmp_path, feet, feet + 1.0 * UP)
    turn = random_rotation(rng)
    moved = move(rolled, Similarity(0.4, turn, rng.normal(size=3)))
    truth = turn @ UP
    alone = np.degrees(np.arccos(find_gravity(moved).up @ truth))
    gravity = find_gravity(moved, tmp_path)
    assert np.degrees(np.arccos(gravity.up @ truth)) < 1.0 < alone
    assert gravity.evidence["vertical"] > 0.3 and gravity.confidence > 0.1


def test_level_edges_alone_tell_as_much(rolled: ColmapModel, tmp_path: Path) -> None:
    """A desk: nothing stands upright, but edges run left and right, and to and fro."""
    rng = np.random.default_rng(6)
    middle = rng.uniform([-1.0, 0.0, -1.0], [1.0, 0.6, 1.0], (14, 3))
    along = np.where(np.arange(14)[:, None] % 2 == 0, [0.8, 0, 0.6], [-0.6, 0, 0.8]) * 0.6
    draw_edges(rolled, tmp_path, middle - along, middle + along)
    assert np.degrees(np.arccos(find_gravity(rolled, tmp_path).up @ UP)) < 3.0


def test_edges_contain_their_direction(tmp_path: Path) -> None:
    model = orbit_model(views=4)
    draw_edges(model, tmp_path, np.array([[0.3, 0.5, 0.1]]), np.array([[0.3, -0.5, 0.1]]))
    edges = find_segments(model, tmp_path)
    assert len(edges.weights) >= 4
    assert np.degrees(np.arcsin(np.abs(edges.normals @ UP))).max() < 1.0
    assert np.allclose(np.linalg.norm(edges.normals, axis=1), 1)
