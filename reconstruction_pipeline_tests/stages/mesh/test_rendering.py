from __future__ import annotations

import numpy as np

from reconstruction_pipeline.stages.mesh.colour import colour_vertices
from reconstruction_pipeline.stages.mesh.files import TriangleMesh
from reconstruction_pipeline.stages.mesh.preview import swung
from reconstruction_pipeline.stages.mesh.rendered_depth import (
    SurfaceView,
    keep_agreed,
    smooth,
    surface_view,
    viewing_cosine,
)
from reconstruction_pipeline.stages.mesh.settings import MeshSettings
from reconstruction_pipeline.stages.mesh.zbuffer import render_mesh
from reconstruction_pipeline_tests.analytic_scene import WALL_NORMAL, WALL_OFFSET, make_scene
from reconstruction_pipeline_tests.stages.mesh.shapes import look_at

QUAD = np.array([[0, 1, 2], [0, 2, 3]], np.int32)


def _quad(z: float, half: float) -> np.ndarray:
    return np.array([[-half, -half, z], [half, -half, z], [half, half, z], [-half, half, z]], float)


def test_rendered_depth_and_attributes_are_exact_on_a_slanted_plane() -> None:
    scene = make_scene(1)
    view = scene.views[0]
    x, y = np.array([-9, 9, 9, -9.0]), np.array([-9, -9, 9, 9.0])
    wall = np.column_stack([x, y, (WALL_OFFSET - WALL_NORMAL[0] * x) / WALL_NORMAL[2]])
    rendering = render_mesh(wall, QUAD, wall.astype(np.float32), view)
    on_wall = np.abs(rendering.depth - scene.depths[0]) < 1e-3
    u, v = np.meshgrid(np.arange(view.width) + 0.5, np.arange(view.height) + 0.5)
    rays = np.stack([(u - view.cx) / view.fx, (v - view.cy) / view.fy, np.ones_like(u)], -1) @ view.rotation
    points = view.center + rays * rendering.depth[..., None]
    assert on_wall.mean() > 0.4 and rendering.depth.min() > 0
    np.testing.assert_allclose(rendering.attributes, points, atol=1e-3)


def test_the_nearer_triangle_wins_and_what_is_behind_the_camera_is_left_out() -> None:
    view = look_at(np.array([0.0, 0, -2]), np.zeros(3))
    vertices = np.vstack([_quad(1.0, 3), _quad(0.0, 0.3), _quad(-3.0, 1)])
    faces = np.vstack([QUAD, QUAD + 4, QUAD + 8])
    rendering = render_mesh(vertices, faces, np.ones((12, 1), np.float32), view)
    np.testing.assert_allclose(rendering.depth[45, 60], 2.0)
    np.testing.assert_allclose(rendering.depth[5, 5], 3.0)
    assert set(np.unique(rendering.face)) == {0, 1, 2, 3}


def test_cosine_of_a_slanted_plane_and_none_at_its_border() -> None:
    scene = make_scene(1)
    view, depth = scene.views[0], scene.depths[0]
    cosine = viewing_cosine(depth, view)
    ray = np.array([(20.5 - view.cx) / view.fx, (30.5 - view.cy) / view.fy, 1.0]) @ view.rotation
    expected = abs(ray @ WALL_NORMAL) / np.linalg.norm(ray) / np.linalg.norm(WALL_NORMAL)
    np.testing.assert_allclose(cosine[30, 20], expected, atol=1e-3)
    lonely = np.zeros_like(depth)
    lonely[10, 10] = 2
    assert not viewing_cosine(lonely, view).any()


def test_smoothing_keeps_jumps_and_unknown_pixels() -> None:
    rng = np.random.default_rng(0)
    depth = np.where(np.arange(60) < 30, 2.0, 2.6) * rng.normal(1, 0.003, (40, 60))
    depth[5:9, 5:9] = 0
    smoothed = smooth(depth.astype(np.float32))
    assert np.all(smoothed[5:9, 5:9] == 0) and np.all(smoothed[depth > 0] > 0)
    assert smoothed[10:, :30].std() < 0.6 * depth[10:, :30].std()
    assert smoothed[:, 29].max() < 2.1 and smoothed[:, 30].min() > 2.5
    assert not smooth(np.zeros((4, 4), np.float32)).any()


def test_faint_and_grazing_pixels_are_unknown() -> None:
    scene = make_scene(1)
    view, depth = scene.views[0], scene.depths[0]
    alpha = np.ones_like(depth)
    alpha[:, :10] = 0.3
    surface = surface_view(alpha, depth, view, MeshSettings(min_cosine=0.35))
    assert not surface.depth[:, :10].any()
    assert np.all(surface.cosine[surface.depth > 0] >= 0.35)
    floor = surface.depth[-1, 20:] == 0  # the nearest part of the floor is seen least flatly
    assert np.mean(surface.depth[:, 20:] > 0) > 0.5 and floor.mean() < 0.5


def test_what_others_look_through_is_dropped() -> None:
    scene = make_scene(5)
    surfaces = [SurfaceView(d, np.ones_like(d), v) for d, v in zip(scene.depths, scene.views, strict=True)]
    floater = scene.depths[2].copy()
    floater[20:30, 60:70] *= 0.6
    surfaces[2] = surfaces[2]._replace(depth=floater)
    kept = keep_agreed(surfaces, [[j for j in range(5) if j != i] for i in range(5)], MeshSettings())
    assert not kept[2].depth[20:30, 60:70].any()
    assert np.mean(kept[2].depth > 0) > 0.85


def test_hidden_vertices_do_not_take_the_colour_of_what_hides_them() -> None:
    """A red quad before a green wall: from two sides, every vertex gets its own colour."""
    vertices = np.vstack([_quad(1.0, 1.2), _quad(0.0, 0.5)])
    vertices[:4] = vertices[:4] @ np.diag([1.0, 1.0, 1.0])
    faces = np.vstack([QUAD[:, ::-1], QUAD[:, ::-1] + 4])  # facing -z, towards the cameras
    normals = np.tile(np.float32([0, 0, -1]), (8, 1))
    painted = np.where(np.arange(8)[:, None] < 4, [0, 200, 0], [220, 0, 0]).astype(np.float32)
    views = [look_at(np.array([x, 0.1, -2.0]), np.array([0, 0, 0.5]), 200, 200) for x in (-1.2, 1.2)]
    pictures = [render_mesh(vertices, faces, painted, v).attributes.astype(np.uint8) for v in views]
    inner = 0.9 * (vertices - vertices.mean(axis=0)) + vertices.mean(axis=0)  # away from the borders of the paint
    inner[:, 2] = vertices[:, 2]
    colours = colour_vertices(inner, faces, normals, views, pictures, [None] * len(views), 0.05)
    assert np.all(colours[:4, 1] > 150) and np.all(colours[:4, 0] < 40)
    assert np.all(colours[4:, 0] > 150) and np.all(colours[4:, 1] < 40)


def test_unseen_vertices_take_the_nearest_colour() -> None:
    view = look_at(np.array([0.0, 0, -2]), np.zeros(3))
    vertices = np.vstack([_quad(0.0, 0.3), [[0.31, 0.31, 0.0], [-0.3, 50.0, 0.0]]])
    picture = np.full((view.height, view.width, 3), 77, np.uint8)
    normals = np.tile(np.float32([0, 0, -1]), (6, 1))
    normals[4] = [0, 0, 1]
    colours = colour_vertices(vertices, QUAD[:, ::-1], normals, [view], [picture], [None], 0.05)
    assert np.all(colours == 77)
    away = colour_vertices(vertices, QUAD, -normals * 0, [view], [picture], [None], 0.05)
    assert np.all(away == 128), "nothing seen: mid-grey"


def test_the_raised_camera_is_higher_and_looks_down() -> None:
    view = look_at(np.array([0.0, 0, -3]), np.zeros(3))
    quad = _quad(0.0, 1.0)
    mesh = TriangleMesh(quad, QUAD, np.zeros((4, 3), np.float32), np.zeros((4, 3), np.uint8))
    above = swung(view, mesh, 35.0)
    assert above.center[1] < -1, "up is -y"
    assert above.rotation[2, 1] > 0.4, "forward points downwards"
    np.testing.assert_allclose(above.rotation @ above.rotation.T, np.eye(3), atol=1e-12)
