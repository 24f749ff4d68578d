"""The rasteriser against scenes whose pictures are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from reconstruction_pipeline.sample.render.atlas import levels_of, pack
from reconstruction_pipeline.sample.render.frame import Renderer
from reconstruction_pipeline.sample.render.triangles import Triangles, bare
from reconstruction_pipeline.sample.variants import VARIANTS

TINY = replace(VARIANTS["small"], width=64, height=48, focal_px=50.0, subframes=1)
HERE = (np.eye(3), np.zeros(3))


def rectangle(corners: list[list[float]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array(corners, np.float64), np.array([[0, 1, 2], [0, 2, 3]], np.int32)


def test_a_wall_that_faces_the_camera_has_its_depth_everywhere() -> None:
    vertices, faces = rectangle([[-5, -5, 3], [5, -5, 3], [5, 5, 3], [-5, 5, 3]])
    depth = Renderer(bare(vertices, faces), TINY).depth(HERE)
    np.testing.assert_allclose(depth, 3.0, rtol=1e-6)


def test_depth_of_a_slanted_plane_through_the_camera_needs_no_clipping() -> None:
    # The floor y = 1 reaches from behind the camera to far ahead: z = focal / (row - centre) at each pixel below it.
    vertices, faces = rectangle([[-500, 1, -10], [500, 1, -10], [500, 1, 500], [-500, 1, 500]])
    depth = Renderer(bare(vertices, faces), TINY).depth(HERE)
    rows = np.arange(48) + 0.5 - 24
    expected = np.where(rows > 0, 50.0 / np.where(rows > 0, rows, 1), 0)
    np.testing.assert_allclose(depth, np.broadcast_to(expected[:, None], depth.shape), rtol=1e-5)


def test_the_nearer_surface_hides_the_farther_in_either_order() -> None:
    far, faces = rectangle([[-9, -9, 5], [9, -9, 5], [9, 9, 5], [-9, 9, 5]])
    near = np.array([[-0.5, -0.5, 2], [0.5, -0.5, 2], [0.5, 0.5, 2], [-0.5, 0.5, 2]])
    for first, second in ((far, near), (near, far)):
        soup = bare(np.concatenate([first, second]), np.concatenate([faces, faces + 4]))
        depth = Renderer(soup, TINY).depth(HERE)
        # 50 px of focal length at depth 2: the square is 25 px wide about the centre.
        assert depth[24, 32] == pytest.approx(2)
        assert np.count_nonzero(np.isclose(depth, 2)) == pytest.approx(25 * 25, rel=0.09)
        assert depth[0, 0] == pytest.approx(5)


def test_a_fine_mesh_has_no_cracks() -> None:
    rng = np.random.default_rng(3)
    n = 40
    x, y = np.meshgrid(np.linspace(-4, 4, n), np.linspace(-4, 4, n))
    vertices = np.stack([x, y, 3 + 0.6 * rng.random((n, n))], -1).reshape(-1, 3)
    corner = (np.arange(n - 1)[:, None] * n + np.arange(n - 1)).ravel()
    faces = np.concatenate(
        [np.stack([corner, corner + n, corner + 1], -1), np.stack([corner + 1, corner + n, corner + n + 1], -1)]
    )
    renderer = Renderer(bare(vertices, faces.astype(np.int32)), replace(TINY, width=256, height=192, focal_px=200.0))
    for turn in np.linspace(0, 0.2, 5):
        c, s = np.cos(turn), np.sin(turn)
        depth = renderer.depth((np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]]), np.zeros(3)))
        assert depth.min() > 0


def test_textures_are_perspective_correct_and_upright() -> None:
    # A picture: red grows to the right, green grows downwards, on a wall that recedes to the right.
    size = 64
    ramp = (np.arange(size) + 0.5) / size
    picture = np.stack([np.tile(ramp, (size, 1)), np.tile(ramp[:, None], (1, size)), np.full((size, size), 0.2)], -1)
    atlas = pack([levels_of(picture.astype(np.float32))], [(size, size)])
    vertices, faces = rectangle([[-2, -2, 3], [2, -2, 7], [2, 2, 7], [-2, 2, 3]])
    uv = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float64)
    wall = Triangles(vertices, uv, faces, np.zeros(2, np.int32), np.zeros(4, np.int32))
    renderer = Renderer(wall, TINY)

    class Standing:
        def pose(self, time: float) -> tuple[np.ndarray, np.ndarray]:
            return HERE

    light = renderer.frame(atlas, Standing(), 0.0)  # type: ignore[arg-type]
    row, column = 30, 40
    ray = np.array([(column + 0.5 - 32) / 50, (row + 0.5 - 24) / 50, 1])
    # The wall is z = 5 + x; the ray meets it at z = 5 / (1 - ray_x).
    point = ray * 5 / (1 - ray[0])
    expected = [(point[0] + 2) / 4, (point[1] + 2) / 4, 0.2]
    np.testing.assert_allclose(light[row, column], expected, atol=0.02)
