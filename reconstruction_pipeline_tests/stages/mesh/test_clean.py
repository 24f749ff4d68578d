from __future__ import annotations

import numpy as np
import trimesh

from reconstruction_pipeline.stages.mesh import clean
from reconstruction_pipeline_tests.stages.mesh.shapes import volume


def _ball(subdivisions: int = 3, radius: float = 1.0, center: tuple[float, float, float] = (0, 0, 0)):
    ball = trimesh.creation.icosphere(subdivisions, radius)
    return np.array(ball.vertices) + center, np.array(ball.faces, np.int32)


def test_small_components_go() -> None:
    vertices, faces = _ball()
    speck, speck_faces = _ball(0, 0.1, (3, 0, 0))
    both = np.vstack([vertices, speck]), np.vstack([faces, speck_faces + len(vertices)])
    _, sizes = clean.component_of_faces(both[1], len(both[0]))
    assert sorted(sizes) == [20, 1280]
    kept, kept_faces = clean.drop_small_components(*both)
    assert len(kept_faces) == 1280 and kept[:, 0].max() < 2


def test_how_small_is_too_small_can_be_said() -> None:
    vertices, faces = _ball()
    other, other_faces = _ball(2, 0.5, (3, 0, 0))
    both = np.vstack([vertices, other]), np.vstack([faces, other_faces + len(vertices)])
    assert len(clean.drop_small_components(*both, share=0.2)[1]) == 1600
    assert len(clean.drop_small_components(*both, share=0.3)[1]) == 1280


def test_a_lone_small_mesh_stays() -> None:
    vertices, faces = _ball(0)
    assert len(clean.drop_small_components(vertices, faces)[1]) == 20


def _sheet(width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """A grid of `width` x `height` squares in the plane z = 0."""
    x, y = np.meshgrid(np.arange(width + 1.0), np.arange(height + 1.0))
    low = (np.arange(height)[:, None] * (width + 1) + np.arange(width)).ravel()
    quad = np.stack([low, low + 1, low + width + 2, low + width + 1], axis=1)
    faces = np.concatenate([quad[:, [0, 1, 2]], quad[:, [0, 2, 3]]]).astype(np.int32)
    return np.column_stack([x.ravel(), y.ravel(), np.zeros(x.size)]), faces


def test_strips_go_and_surfaces_and_thin_closed_things_stay() -> None:
    """A sheet with a fringe of two squares' width, and a tube as thin as that."""
    vertices, faces = _sheet(30, 30)
    squares = vertices[faces].mean(axis=1)
    fringe = (squares[:, 0] > 20) & (squares[:, 1] > 8) & (squares[:, 1] < 10)
    faces = faces[(squares[:, 0] < 20) | fringe]
    tube = trimesh.creation.capsule(height=20, radius=0.4, count=(8, 8))
    both = np.vstack([vertices, np.array(tube.vertices) + np.array([50, 0, 0])])
    faces = np.vstack([faces, np.array(tube.faces) + len(vertices)]).astype(np.int32)
    kept, left = clean.without_strips(both, faces, 2)
    of_sheet = kept[kept[:, 0] < 40]
    assert 20 <= of_sheet[:, 0].max() <= 22 and len(of_sheet) > 430
    assert np.count_nonzero(kept[left][:, :, 0].min(axis=1) > 40) == len(tube.faces)
    strip = _sheet(30, 2)
    assert len(clean.without_strips(*strip, 2)[1]) == len(strip[1]), "nothing at all would be left"


def test_degenerate_and_double_faces_and_unused_vertices_go() -> None:
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [2, 0, 0], [9, 9, 9]], float)
    faces = np.array([[0, 1, 2], [1, 2, 0], [0, 1, 3], [0, 0, 2]], np.int32)
    kept, kept_faces = clean.compact(vertices, faces)
    assert kept_faces.tolist() == [[0, 1, 2]] and len(kept) == 3


def test_a_hole_is_closed_the_right_way_round() -> None:
    vertices, faces = _ball()
    rim = np.argmax(vertices[:, 1])
    holed = faces[~np.any(faces == rim, axis=1)]
    (loop,) = clean.border_loops(holed)
    assert 5 <= len(loop) <= 6
    closed, closed_faces = clean.fill_small_holes(vertices, holed, 24)
    assert clean.border_loops(closed_faces) == []
    assert volume(closed, closed_faces) > 0.99 * volume(vertices, faces)
    assert trimesh.Trimesh(closed, closed_faces, process=False).is_winding_consistent


def test_large_openings_stay_open() -> None:
    vertices, faces = _ball()
    half = faces[np.all(vertices[faces][:, :, 1] > -0.1, axis=1)]
    assert len(clean.fill_small_holes(vertices, half, 24)[1]) == len(half)


def test_decimation_keeps_the_shape_far_from_the_origin() -> None:
    vertices, faces = _ball(5, center=(100.0, -50.0, 7.0))
    fewer, fewer_faces = clean.decimate(vertices, faces, 2000)
    assert 1000 < len(fewer_faces) <= 2010
    off = np.abs(np.linalg.norm(fewer - [100, -50, 7], axis=1) - 1)
    assert off.max() < 0.02
    assert clean.decimate(vertices, faces, 10**6)[1] is faces


def test_smoothing_evens_out_and_keeps_the_size() -> None:
    vertices, faces = _ball(4)
    rough = vertices * np.random.default_rng(0).normal(1, 0.01, (len(vertices), 1))
    smoothed = clean.smooth(rough, faces, 10)
    radii = np.linalg.norm(smoothed, axis=1)
    assert radii.std() < 0.005 and abs(radii.mean() - 1) < 0.01


def test_normals_point_outwards() -> None:
    vertices, faces = _ball()
    np.testing.assert_allclose(clean.vertex_normals(vertices, faces), vertices, atol=0.02)
