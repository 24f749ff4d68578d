from __future__ import annotations

import numpy as np
import pytest

from reconstruction_pipeline.artifacts.errors import Cancelled
from reconstruction_pipeline.stages.mesh.surface_nets import extract_surface
from reconstruction_pipeline.stages.mesh.tsdf import DepthView, fuse
from reconstruction_pipeline_tests.stages.mesh.shapes import CENTER, RADIUS, look_at, sphere_view, views_around, volume

VOXEL = 0.04


@pytest.fixture(scope="module")
def sphere() -> tuple[np.ndarray, np.ndarray]:
    return extract_surface(fuse(views_around(), CENTER - 1, CENTER + 1, VOXEL, 4, threads=2), 1.0)


def test_a_sphere_is_a_sphere_in_its_place(sphere) -> None:
    vertices, faces = sphere
    off = np.abs(np.linalg.norm(vertices - CENTER, axis=1) - RADIUS)
    assert np.median(off) < 0.2 * VOXEL
    assert off.max() < VOXEL
    assert len(faces) > 5000


def test_faces_look_at_the_free_side(sphere) -> None:
    vertices, faces = sphere
    exact = 4 / 3 * np.pi * RADIUS**3
    assert volume(vertices - CENTER, faces) == pytest.approx(exact, rel=0.02)
    corners = vertices[faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    outward = np.sum(normals * (corners.mean(axis=1) - CENTER), axis=1) > 0
    assert outward.mean() > 0.99


def test_the_same_for_any_number_of_threads() -> None:
    views = views_around(5)
    one, three = (fuse(views, CENTER - 1, CENTER + 1, VOXEL, 4, threads=n) for n in (1, 3))
    np.testing.assert_array_equal(one.distance, three.distance)
    np.testing.assert_array_equal(one.weight, three.weight)


def test_what_nothing_saw_stays_open() -> None:
    front = [sphere_view(look_at(CENTER + np.array([x, 0.2, -3.0]), CENTER)) for x in (-0.3, 0.0, 0.3)]
    vertices, _ = extract_surface(fuse(front, CENTER - 1, CENTER + 1, VOXEL, 4), 1.0)
    assert len(vertices) > 500
    assert vertices[:, 2].max() < CENTER[2] + 0.3 * RADIUS


def test_free_space_removes_what_one_view_made_up() -> None:
    """A blob in front of the sphere in a single view, which all the others look through."""
    views = views_around()
    depth = views[7].depth.copy()
    depth[40:50, 55:65] -= 0.15
    liar = DepthView(depth, views[7].cosine, views[7].view)
    vertices, _ = extract_surface(fuse([*views[:7], liar, *views[8:]], CENTER - 1, CENTER + 1, VOXEL, 4), 1.0)
    assert np.mean(np.linalg.norm(vertices - CENTER, axis=1) > RADIUS + 2 * VOXEL) < 0.01


def test_nothing_in_nothing_out() -> None:
    view = look_at(CENTER + np.array([0, 0, -3.0]), CENTER)
    nothing = np.zeros((view.height, view.width), np.float32)
    vertices, faces = extract_surface(fuse([DepthView(nothing, nothing, view)], CENTER - 1, CENTER + 1, VOXEL, 4), 1.0)
    assert len(vertices) == 0 and len(faces) == 0


def test_fusing_can_be_cancelled() -> None:
    def stop(share: float) -> None:
        raise Cancelled("stop")

    with pytest.raises(Cancelled):
        fuse(views_around(3), CENTER - 1, CENTER + 1, VOXEL, 4, report=stop)
