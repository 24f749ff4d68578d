from __future__ import annotations

import numpy as np

from reconstruction_pipeline.kernels.camera import PinholeView
from reconstruction_pipeline.stages.mesh.measured_depth import confirmed, evened_out
from reconstruction_pipeline.stages.mesh.plain import flatten, plainness, without_evidence
from reconstruction_pipeline.stages.mesh.rendered_depth import SurfaceView, viewing_cosine
from reconstruction_pipeline.stages.mesh.settings import MeshSettings

HEIGHT, WIDTH = 120, 160
ROWS, COLUMNS = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
PLANE = 1 / (0.3 + 0.0015 * COLUMNS + 0.001 * ROWS)
"""A plane's inverse depth is affine."""
LUMPS = PLANE * (1 + 0.03 * np.sin(COLUMNS / 5) * np.sin(ROWS / 6))
EVERYWHERE = np.ones((HEIGHT, WIDTH), np.bool_)
BLANK = np.full((HEIGHT, WIDTH), 0.5, np.float32)


def _noise(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((HEIGHT, WIDTH)).astype(np.float32)


def test_lumps_of_a_blank_plane_become_flat() -> None:
    found = flatten(LUMPS.astype(np.float32), np.full_like(BLANK, 25), EVERYWHERE, BLANK)
    before, after = (np.abs(depth / PLANE - 1)[8:-8, 8:-8].mean() for depth in (LUMPS, found))
    assert after < 0.25 * before


def test_what_has_texture_stays_and_a_hole_is_closed_by_its_plane() -> None:
    textured = _noise()
    assert plainness(textured).max() < 0.02 and plainness(BLANK).min() == 1
    found = flatten(LUMPS.astype(np.float32), np.full_like(BLANK, 2), EVERYWHERE, textured)
    assert np.abs(found / LUMPS - 1).mean() < 0.006
    torn = PLANE.astype(np.float32)
    torn[40:80, 60:100] = 0
    closed = flatten(torn, np.full_like(BLANK, 2), EVERYWHERE, BLANK)
    np.testing.assert_allclose(closed, PLANE, rtol=0.004)
    left_open = flatten(torn, np.full_like(BLANK, 2), torn > 0, BLANK)
    assert not left_open[torn == 0].any()


def test_a_step_at_an_edge_of_the_picture_stays_a_step() -> None:
    step = np.where(COLUMNS < 80, 2.0, 3.0).astype(np.float32)
    picture = np.where(COLUMNS < 80, 0.2, 0.8).astype(np.float32)
    found = flatten(step, np.full_like(BLANK, 10), EVERYWHERE, picture)
    assert np.abs(found / step - 1)[:, 75:85].max() < 0.05


def test_an_area_that_was_not_measured_is_known_only_between_what_was() -> None:
    picture = np.where(ROWS < 60, 0.2, 0.8).astype(np.float32)
    above = ROWS < 56
    lost = without_evidence(picture, above)
    assert lost[66:].all() and not lost[:54].any()
    around = above | (ROWS > 110) | (COLUMNS < 8) | (COLUMNS > 152)
    inside = (ROWS > 66) & (ROWS < 105) & (COLUMNS > 12) & (COLUMNS < 148)
    framed = picture.copy()
    framed[(ROWS > 106) & (ROWS < 110)] = 0.1
    framed[(ROWS > 60) & ((np.abs(COLUMNS - 10) < 2) | (np.abs(COLUMNS - 150) < 2))] = 0.1
    assert not without_evidence(framed, around)[inside].any()


def test_views_are_evened_where_nothing_was_measured_and_only_with_measured_depth() -> None:
    view = PinholeView(np.eye(3), np.zeros(3), 150.0, 150.0, WIDTH / 2, HEIGHT / 2, WIDTH, HEIGHT)
    lumps = LUMPS.astype(np.float32)
    surface = SurfaceView(lumps, viewing_cosine(lumps, view), view, EVERYWHERE)
    textured = COLUMNS < 70
    picture = np.where(textured, 255 * _noise(1), 128).astype(np.uint8)[..., None].repeat(3, axis=2)
    there = np.where(textured | (COLUMNS > 144), lumps, 0).astype(np.float32)
    measured = SurfaceView(there, viewing_cosine(there, view), view)
    shares: list[float] = []
    settings = MeshSettings(threads=1, plain_reach=0.15)
    even, alone = evened_out([surface, surface], [measured, None], [picture] * 2, settings, shares.append)
    np.testing.assert_array_equal(alone.depth, lumps)
    kept = (even.depth > 0) & textured
    assert kept.mean() > 0.4 and np.array_equal(even.depth[kept], lumps[kept])
    blank = (COLUMNS > 90) & (COLUMNS < 140) & (even.depth > 0)
    assert blank.sum() > 3000
    assert np.abs(even.depth / PLANE - 1)[blank].mean() < 0.5 * np.abs(LUMPS / PLANE - 1)[blank].mean()
    assert shares == [0.5, 1.0]


def test_measured_depth_beside_another_surface_is_not_fused() -> None:
    view = PinholeView(np.eye(3), np.zeros(3), 150.0, 150.0, WIDTH / 2, HEIGHT / 2, WIDTH, HEIGHT)
    depth = np.full((HEIGHT, WIDTH), 2, np.float32)
    depth[:, :50] = 0
    surface = SurfaceView(depth, viewing_cosine(depth, view), view)
    found = np.full((HEIGHT // 2, WIDTH // 2), 2.02, np.float32)
    found[:20] = 2.2
    half = view.scaled(WIDTH // 2, HEIGHT // 2)
    (kept,) = confirmed([None, SurfaceView(found, viewing_cosine(found, half), half)], [surface] * 2, MeshSettings())
    assert not kept.depth[:, :25].any() and not kept.depth[:20].any()
    assert (kept.depth[20:, 25:] == np.float32(2.02)).all()
