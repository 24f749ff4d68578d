from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from reconstruction_pipeline.artifacts import Gaussians
from reconstruction_pipeline.artifacts.harmonics import basis
from reconstruction_pipeline.kernels.camera import PinholeView
from reconstruction_pipeline.stages.compression.codecs import WriteOptions, read_splats, write_splats
from reconstruction_pipeline.stages.compression.codecs.viewing import SH_0, correction, from_everywhere, from_views

VIEWS = tuple(
    PinholeView(np.eye(3), np.array([x, 0.0, 4.0]), 300.0, 300.0, 160.0, 120.0, 320, 240)
    for x in np.linspace(-0.6, 0.6, 7)
)


def noisy_scene(count: int = 1500) -> Gaussians:
    """Splats with strong, random view-dependent colour: the worst case for a palette."""
    rng = np.random.default_rng(0)
    sh = rng.normal(0, 0.15, (count, 16, 3)).astype(np.float32)
    quats = rng.normal(size=(count, 4)).astype(np.float32)
    quats /= np.linalg.norm(quats, axis=1, keepdims=True)
    means = rng.uniform(-0.8, 0.8, (count, 3)).astype(np.float32)
    scales = np.full((count, 3), -3.0, np.float32)
    return Gaussians(means, scales, quats, np.full(count, 2.0, np.float32), sh)


def colours(scene: Gaussians, view: PinholeView) -> np.ndarray:
    """(N, 3) colours seen from a view, before clamping."""
    offset = scene.means - view.center
    values = basis(offset / np.linalg.norm(offset, axis=1, keepdims=True))
    return np.einsum("nk,nkc->nc", values, scene.sh)


def seen_error(tmp_path: Path, views: tuple[PinholeView, ...]) -> float:
    """RMS colour error of a SOG round trip from a view between those the scene was captured from."""
    scene, path = noisy_scene(), tmp_path / "scene.sog"
    write_splats(path, scene, WriteOptions(palette=256, views=views))
    decoded = read_splats(path)
    nearest = np.linalg.norm(scene.means[:, None] - decoded.means[None], axis=2).argmin(axis=1)
    decoded = decoded.take(nearest)
    between = PinholeView(np.eye(3), np.array([0.1, 0.0, 4.0]), 300.0, 300.0, 160.0, 120.0, 320, 240)
    return float(np.sqrt(np.mean((colours(scene, between) - colours(decoded, between)) ** 2)))


def test_knowing_the_cameras_makes_the_file_truer_where_it_is_seen(tmp_path: Path) -> None:
    assert seen_error(tmp_path, VIEWS) < 0.3 * seen_error(tmp_path, ())


def test_the_correction_removes_a_constant_error_exactly() -> None:
    scene = noisy_scene(50)
    one = (VIEWS[3],)
    viewing = from_views(scene.means, np.ones(50), one, 15)
    error = scene.sh[:, 1:]
    offset = scene.means - one[0].center
    values = basis(offset / np.linalg.norm(offset, axis=1, keepdims=True))[:, 1:]
    np.testing.assert_allclose(
        correction(viewing, error) * SH_0, np.einsum("nk,nkc->nc", values, error), rtol=1e-4, atol=1e-5
    )


def test_splats_that_no_view_sees_keep_their_base_colour() -> None:
    behind = np.array([[0.0, 0.0, -50.0]], np.float32)
    viewing = from_views(behind, np.ones(1), VIEWS, 15)
    assert not viewing.mean.any()
    assert np.isfinite(viewing.root).all()


def test_without_cameras_nothing_is_corrected() -> None:
    viewing = from_everywhere(3, 8)
    assert not correction(viewing, np.ones((3, 8, 3), np.float32)).any()
    assert pytest.approx(viewing.root) == np.eye(8)
