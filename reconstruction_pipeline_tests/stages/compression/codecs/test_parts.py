"""The writer's parts against plain references."""

from __future__ import annotations

import numpy as np
import pytest

from reconstruction_pipeline.artifacts.gaussian_splats import Gaussians
from reconstruction_pipeline.stages.compression.codecs.codebook import even_codebook, nearest_code, weighted_codebook
from reconstruction_pipeline.stages.compression.codecs.ordering import morton_order
from reconstruction_pipeline.stages.compression.codecs.palette import kmeans_palette, palette_size
from reconstruction_pipeline.stages.compression.codecs.pricing import bits_of, priced_codes
from reconstruction_pipeline.stages.compression.codecs.rotations import cube_rotations, multiply
from reconstruction_pipeline_tests.stages.compression.scenes import random_scene
from reconstruction_pipeline_tests.stages.compression.test_convert import covariances


def test_codebook_is_near_the_known_optimum_for_a_uniform_density() -> None:
    values = np.random.default_rng(0).random(20_000)
    book = weighted_codebook(values, np.ones(len(values)), size=16)
    # The best 16 cells of [0, 1] have width 1/16 and error w^2 / 12.
    error = np.mean((book[nearest_code(book, values)] - values) ** 2)
    assert error < 1.01 * (1 / 16) ** 2 / 12
    assert (np.diff(book) >= 0).all()


def test_codebook_follows_the_weights_and_keeps_outliers() -> None:
    rng = np.random.default_rng(1)
    values = np.concatenate([rng.normal(0, 1, 10_000), rng.normal(20, 1, 10_000), [-500.0]])
    weights = np.concatenate([np.full(10_000, 100.0), np.full(10_001, 1.0)])
    book = weighted_codebook(values, weights)
    error = np.abs(book[nearest_code(book, values)] - values)
    assert error[:10_000].mean() < error[10_000:-1].mean()
    assert error[-1] < 50


def test_codebook_of_few_values_is_exact() -> None:
    values = np.array([3.0, -1.0, 3.0, 7.5])
    book = weighted_codebook(values, np.ones(4))
    assert len(book) == 256
    np.testing.assert_allclose(book[nearest_code(book, values)], values, atol=1e-6)


def test_nearest_code_equals_a_full_search() -> None:
    rng = np.random.default_rng(2)
    book = np.sort(rng.normal(size=256)).astype(np.float32)
    values = rng.normal(size=(50, 3)) * 2
    full = np.abs(values[..., None] - book).argmin(axis=-1)
    np.testing.assert_array_equal(nearest_code(book, values), full)


def test_morton_order_equals_bitwise_interleaving() -> None:
    grid = np.random.default_rng(3).integers(0, 65536, (200, 3)).astype(np.uint16)

    def code(row: np.ndarray) -> int:
        return sum(((int(row[axis]) >> bit) & 1) << (3 * bit + axis) for bit in range(16) for axis in range(3))

    codes = np.array([code(row) for row in grid])
    np.testing.assert_array_equal(morton_order(grid), np.argsort(codes, kind="stable"))


def test_palette_is_as_good_as_long_plain_kmeans() -> None:
    from scipy.cluster.vq import kmeans2

    rng = np.random.default_rng(5)
    points = rng.normal(size=(3000, 24)).astype(np.float32) * np.linspace(1, 0.1, 24, dtype=np.float32)
    palette, labels, _ = kmeans_palette(points, np.ones(len(points)), 128, iterations=6, seed=0)
    reference, reference_labels = kmeans2(points, 128, iter=40, minit="++", seed=0)
    error = ((points - palette[labels]) ** 2).sum(axis=1).mean()
    assert error < 1.02 * ((points - reference[reference_labels]) ** 2).sum(axis=1).mean()


def test_palette_serves_heavy_points_better_and_uses_every_entry() -> None:
    rng = np.random.default_rng(6)
    points = rng.normal(size=(2000, 9)).astype(np.float32)
    weights = np.where(np.arange(2000) < 200, 100.0, 1.0)
    palette, labels, _ = kmeans_palette(points, weights, 256, iterations=6, seed=0)
    errors = ((points - palette[labels]) ** 2).sum(axis=1)
    assert errors[:200].mean() < 0.5 * errors[200:].mean()
    assert len(np.unique(labels)) > 250


def test_palette_with_as_many_entries_as_points_is_exact() -> None:
    points = np.random.default_rng(7).normal(size=(40, 9)).astype(np.float32)
    palette, labels, _ = kmeans_palette(points, np.ones(40), 64, iterations=2, seed=0)
    np.testing.assert_allclose(palette[labels], points, atol=1e-5)


def test_palette_size_grows_with_the_scene() -> None:
    sizes = [palette_size(count) for count in (1, 1000, 20_000, 60_000, 10_000_000)]
    assert sizes == sorted(sizes) and sizes[0] == 64 and sizes[-1] == 16384


def test_even_codebook_reaches_all_and_keeps_its_step_in_the_middle() -> None:
    short = even_codebook(np.array([-0.5, 1.0]), 0.01)
    np.testing.assert_allclose(np.diff(short), 0.01, rtol=1e-4)
    wide = even_codebook(np.array([-0.5, 100.0]), 0.01)
    assert wide[-1] == pytest.approx(100.0, rel=1e-3) and wide[128] == 0.0
    assert wide[129] == pytest.approx(0.01, rel=0.01) and (np.diff(wide) > 0).all()


def test_priced_codes_spend_bits_by_weight() -> None:
    rng = np.random.default_rng(8)
    values = rng.normal(size=(4000, 1))
    weights = np.where(np.arange(4000) < 2000, 10.0, 0.01)[:, None]
    sizes, errors = [], []
    for price in (1e-4, 1e-2):
        book, codes = priced_codes(values, weights, price)
        error = (book[codes] - values) ** 2
        assert error[:2000].mean() < 0.7 * error[2000:].mean()
        sizes.append(float(bits_of(codes)[codes].sum()))
        errors.append(float(error[:2000].mean()))
    assert sizes[1] < 0.7 * sizes[0] and errors[1] > errors[0]


def test_the_cube_has_24_rotations_that_leave_ellipsoids_alone() -> None:
    turns, orders = cube_rotations()
    assert len(turns) == 24 and len({tuple(np.round(q, 6)) for q in turns}) == 24
    scene = random_scene(5)
    before = covariances(scene)
    for turn, order in zip(turns, orders, strict=True):
        turned = Gaussians(
            scene.means,
            scene.log_scales[:, order],
            multiply(scene.quats, turn).astype(np.float32),
            scene.opacity_logits,
            scene.sh,
        )
        np.testing.assert_allclose(covariances(turned), before, atol=1e-5)
