"""Textures of a painted wall whose true colours are known everywhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh

from reconstruction_pipeline.kernels.camera import PinholeView
from reconstruction_pipeline.stages.mesh.files import TriangleMesh, write_obj
from reconstruction_pipeline.stages.mesh.glb import write_glb
from reconstruction_pipeline.stages.mesh.texture import packing, texture_mesh
from reconstruction_pipeline.stages.mesh.texture.labels import charts_of, choose_views, neighbours_of
from reconstruction_pipeline.stages.mesh.texture.seams import level
from reconstruction_pipeline.stages.mesh.texture.visibility import relative_sharpness
from reconstruction_pipeline_tests.stages.mesh.shapes import look_at

CELLS, HALF = 24, 1.0


def paint(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Smooth colours without symmetry, which no turned or mirrored texture could show by accident."""
    return np.stack([128 + 90 * np.sin(2 * x + y), 128 + 90 * np.cos(3 * y - x), 100 + 60 * x], -1)


def wall() -> TriangleMesh:
    """The square |x|, |y| <= 1 at z = 0, seen from -z."""
    line = np.linspace(-HALF, HALF, CELLS + 1)
    x, y = (a.ravel() for a in np.meshgrid(line, line))
    i = (np.arange(CELLS)[:, None] * (CELLS + 1) + np.arange(CELLS)).ravel()
    faces = np.concatenate(
        [np.column_stack([i, i + CELLS + 1, i + 1]), np.column_stack([i + 1, i + CELLS + 1, i + CELLS + 2])]
    )
    normals = np.tile(np.float32([0, 0, -1]), (len(x), 1))
    colours = np.clip(paint(x, y), 0, 255).astype(np.uint8)
    return TriangleMesh(np.column_stack([x, y, 0 * x]), faces.astype(np.int32), normals, colours)


def photograph(view: PinholeView, gain: float = 1.0) -> np.ndarray:
    u, v = np.meshgrid(np.arange(view.width) + 0.5, np.arange(view.height) + 0.5)
    rays = np.stack([(u - view.cx) / view.fx, (v - view.cy) / view.fy, np.ones_like(u)], -1) @ view.rotation
    at = view.center + rays * (-view.center[2] / rays[..., 2])[..., None]
    return np.clip(np.rint(gain * paint(at[..., 0], at[..., 1])), 0, 255).astype(np.uint8)


def views() -> list[PinholeView]:
    return [look_at(np.array([x, 0.2, -2.7]), np.array([0.5 * x, 0, 0]), 240, 180) for x in (-0.9, 0.0, 0.9)]


def colours_at_middles(mesh: TriangleMesh, texture) -> tuple[np.ndarray, np.ndarray]:
    """(found, true) colours of the middles of the faces."""
    uv = texture.uv[texture.corners].mean(axis=1) * len(texture.image)
    found = texture.image[uv[:, 1].astype(int), uv[:, 0].astype(int)].astype(float)
    middle = mesh.vertices[mesh.faces].mean(axis=1)
    return found, paint(middle[:, 0], middle[:, 1])


def textured(pictures: list[np.ndarray], counts=None, largest: int = 4096):
    mesh = wall()
    return mesh, texture_mesh(mesh, views(), pictures, counts or [None] * 3, 0.02, largest)


def test_the_texture_shows_what_the_pictures_show() -> None:
    mesh, texture = textured([photograph(v) for v in views()])
    found, true = colours_at_middles(mesh, texture)
    assert texture.seen == 1.0 and np.abs(found - true).max() < 6
    np.testing.assert_array_equal(texture.vertex[texture.corners], mesh.faces)
    assert texture.uv.min() > 0 and texture.uv.max() < 1
    assert len(np.unique(texture.corners)) == len(texture.uv) < 1.6 * len(mesh.vertices), "few seams"


def test_a_small_texture_is_coarser_and_still_right() -> None:
    mesh, texture = textured([photograph(v) for v in views()], largest=128)
    found, true = colours_at_middles(mesh, texture)
    assert len(texture.image) <= 128 and np.median(np.abs(found - true)) < 5


def test_exposures_are_levelled_over_the_seams() -> None:
    """Views 10 % brighter and darker: without levelling, the colour jumps by 25 where the view changes."""
    _, texture = textured([photograph(v, gain) for v, gain in zip(views(), (0.9, 1.0, 1.1), strict=True)])
    sides = texture.uv * len(texture.image)
    colour = texture.image[sides[:, 1].astype(int), sides[:, 0].astype(int)].astype(float)
    order = np.argsort(texture.vertex, kind="stable")
    same = texture.vertex[order[:-1]] == texture.vertex[order[1:]]
    jumps = np.abs(colour[order[:-1][same]] - colour[order[1:][same]])
    assert same.sum() > 20 and np.median(jumps) < 4 and np.percentile(jumps, 95) < 10


def test_who_walks_through_one_picture_is_not_on_the_wall() -> None:
    pictures = [photograph(v) for v in views()] + [photograph(views()[1])]
    pictures[1][60:120, 80:160] = [255, 0, 255]
    mesh = wall()
    texture = texture_mesh(mesh, [*views(), views()[1]], pictures, [None] * 4, 0.02)
    found, true = colours_at_middles(mesh, texture)
    wrong = np.abs(found - true).max(axis=1)
    assert np.percentile(wrong, 95) < 12 and wrong.max() < 100, "but for traces at its outline"


def test_what_masks_hide_takes_the_colours_of_the_vertices() -> None:
    nothing = np.zeros((180, 240), np.bool_)
    half = ~nothing
    half[:, 120:] = False
    mesh, texture = textured([photograph(v) for v in views()], [half, nothing, nothing])
    found, true = colours_at_middles(mesh, texture)
    assert 0.1 < texture.seen < 0.9
    assert np.median(np.abs(found - true)) < 4 and np.percentile(np.abs(found - true), 95) < 15


def test_the_sharpest_of_neighbours_is_preferred() -> None:
    import cv2

    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    sharp = relative_sharpness([noise, noise, cv2.blur(noise, (5, 5)), noise, noise])
    assert sharp[2] < 0.5 and sharp[0] == pytest.approx(1.0)


def test_labels_grow_into_charts() -> None:
    """Two views of like worth with noise: few charts instead of a mosaic; a face only one shows keeps it."""
    mesh = wall()
    neighbours = neighbours_of(mesh.faces)
    assert (neighbours >= 0).sum(axis=1).min() >= 1
    for f, k in [(5, 0), (100, 1)]:
        other = neighbours[f, k]
        assert len(set(mesh.faces[f]) & set(mesh.faces[other])) == 2 and f in neighbours[other]
    rng = np.random.default_rng(1)
    score = rng.uniform(8, 12, (len(mesh.faces), 2)).astype(np.float32)
    score[77] = [0, 5]
    score[9] = 0
    before = charts_of(score.argmax(axis=1).astype(np.int32), neighbours).max()
    label = choose_views(score, neighbours)
    assert charts_of(label, neighbours).max() < before / 10
    assert label[77] == 1 and label[9] == -1


def test_level_without_seams_changes_nothing() -> None:
    corners = np.array([[0, 1, 2]], np.int32)
    assert not level(np.full((3, 3), 9.0), np.arange(3, dtype=np.int32), corners).any()


def test_packed_rectangles_do_not_overlap() -> None:
    sizes = np.random.default_rng(2).integers(1, 60, (300, 2))
    side = packing.side_for(sizes)
    place, height = packing.pack(sizes, side)
    taken = np.zeros((side, side), np.int32)
    for (x, y), (w, h) in zip(place, sizes, strict=True):
        taken[y : y + h, x : x + w] += 1
    assert height <= side and taken.max() == 1 and taken.sum() == sizes.prod(axis=1).sum()
    assert sizes.prod(axis=1).sum() > 0.6 * side * side


def test_textured_files_open_in_another_reader(tmp_path: Path) -> None:
    mesh, texture = textured([photograph(v) for v in views()])
    write_glb(tmp_path / "mesh.glb", mesh, texture)
    write_obj(tmp_path / "mesh.obj", mesh, texture)
    for name in ("mesh.glb", "mesh.obj"):
        read = trimesh.load(tmp_path / name, force="mesh", process=False)
        material = read.visual.material
        image = np.asarray((material.baseColorTexture if name == "mesh.glb" else material.image).convert("RGB"))
        assert image.shape == texture.image.shape
        # trimesh turns v to count from the bottom in both.
        at = read.visual.uv[read.faces].mean(axis=1) * [image.shape[1], -image.shape[0]] + [0, image.shape[0]]
        middle = read.vertices[read.faces].mean(axis=1)
        true = paint(middle[:, 0], -middle[:, 1])
        found = image[at[:, 1].astype(int), at[:, 0].astype(int)].astype(float)
        assert np.percentile(np.abs(found - true), 99) < 15, name
