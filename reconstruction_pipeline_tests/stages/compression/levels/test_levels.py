"""Levels of detail: what merging keeps, and that the coarser scene looks like the full one from afar."""

from __future__ import annotations

import numpy as np
import pytest

from reconstruction_pipeline.artifacts.gaussian_splats import Gaussians
from reconstruction_pipeline.kernels.camera import PinholeView
from reconstruction_pipeline.kernels.metrics import psnr
from reconstruction_pipeline.stages.compression.codecs.importance import sigmoid
from reconstruction_pipeline.stages.compression.edits import euler, keep_most_visible, turn
from reconstruction_pipeline.stages.compression.fidelity import renderer
from reconstruction_pipeline.stages.compression.levels import cells_of, leaves, level_counts, levels_of, octree
from reconstruction_pipeline.stages.compression.levels.fitting import fitted
from reconstruction_pipeline.stages.compression.levels.mixture import Mixture, areas
from reconstruction_pipeline.stages.compression.levels.pairs import costs, disjoint, neighbours
from reconstruction_pipeline_tests.stages.compression.scenes import random_scene


def two(apart: float, opacity: float, **changes: np.ndarray) -> Gaussians:
    """Two round splats of sigma 1, `apart` along x."""
    logits = np.full(2, np.log(opacity / (1 - opacity)), np.float32)
    quats = np.tile(np.float32([1, 0, 0, 0]), (2, 1))
    arrays = {
        "means": np.float32([[0, 0, 0], [apart, 0, 0]]),
        "log_scales": np.zeros((2, 3), np.float32),
        "quats": quats,
        "opacity_logits": logits,
        "sh": np.zeros((2, 16, 3), np.float32),
    }
    return Gaussians(**(arrays | changes))


def merged(scene: Gaussians) -> Gaussians:
    mixture, kept = Mixture.of(scene).joined(np.array([0]), np.array([1]), np.zeros(1))
    assert kept.tolist() == [0]
    return mixture.gaussians()


def test_two_splats_become_one_with_their_moments() -> None:
    sh = np.zeros((2, 16, 3), np.float32)
    sh[0, :, 0], sh[1, :, 0] = 1.0, 3.0
    one = merged(two(4.0, 0.2, sh=sh))
    np.testing.assert_allclose(one.means, [[2, 0, 0]], atol=1e-6)
    # Variance along x: 1 of each and 2 squared of the distance to the middle.
    np.testing.assert_allclose(np.sort(np.exp(one.log_scales[0])), [1, 1, np.sqrt(5.0)], rtol=1e-5)
    np.testing.assert_allclose(one.sh[0, :, 0], 2.0, atol=1e-6)
    # The same cover over a larger area.
    before, after = Mixture.of(two(4.0, 0.2)), Mixture.of(one)
    np.testing.assert_allclose(after.weights().sum(), before.weights().sum(), rtol=1e-4)
    assert sigmoid(one.opacity_logits)[0] < 0.2 * 2


def test_the_more_visible_one_counts_for_more() -> None:
    scene = two(4.0, 0.5)
    scene.opacity_logits[1] = -4.0
    assert merged(scene).means[0, 0] < 0.3


def test_opaque_splats_in_one_place_stay_as_opaque_as_they_are_together() -> None:
    one = merged(two(0.0, 0.6))
    np.testing.assert_allclose(sigmoid(one.opacity_logits), 1 - 0.4**2, atol=1e-5)
    np.testing.assert_allclose(one.log_scales, 0.0, atol=1e-5)


def test_merging_does_not_depend_on_how_the_world_is_turned() -> None:
    rotation = euler((20.0, -50.0, 70.0))
    scene = random_scene(2, degree=3)
    here, there = merged(turn(scene, rotation)), turn(merged(scene), rotation)
    np.testing.assert_allclose(here.means, there.means, atol=1e-4)
    np.testing.assert_allclose(np.sort(here.log_scales), np.sort(there.log_scales), atol=1e-3)
    np.testing.assert_allclose(Mixture.of(here).covariances, Mixture.of(there).covariances, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(here.sh, there.sh, atol=1e-4)


def test_area_is_that_of_a_sphere_s_great_circle_in_units_of_pi() -> None:
    np.testing.assert_allclose(areas(np.array([[4.0, 0, 0, 4.0, 0, 4.0]])), [4.0])


def test_what_looks_alike_is_merged_first() -> None:
    scene = random_scene(4, degree=0)
    scene.means[:] = [[0, 0, 0], [1, 0, 0], [0, 5, 0], [1, 5, 0]]
    scene.log_scales[:], scene.opacity_logits[:] = np.log(0.5), 2.0
    scene.sh[:], scene.sh[3, 0] = 0.0, 1.5
    price = costs(Mixture.of(scene), np.array([0, 2]), np.array([1, 3]))
    assert 0 < price[0] < price[1]


def test_pairs_are_neighbours_of_the_same_cell_and_each_splat_is_in_one_pair() -> None:
    scene = random_scene(1000)
    cells = cells_of(octree(scene.means, 100))
    first, second = neighbours(scene.means.astype(float), cells)
    assert (first < second).all() and (cells[first] == cells[second]).all()
    price = costs(Mixture.of(scene), first, second)
    assert np.isfinite(price).all() and (price >= -1e-9).all()
    chosen = disjoint(first, second, price, 200, scene.count)
    used = np.concatenate([first[chosen], second[chosen]])
    assert len(chosen) == 200 == len(used) / 2 == len(np.unique(used)) / 2
    # As going through all pairs by cost would give.
    taken, plain = set(), []
    for row in np.argsort(price):
        if not {first[row], second[row]} & taken:
            taken |= {first[row], second[row]}
            plain.append(row)
    assert chosen.tolist() == plain[:200]


def test_cells_hold_few_splats_and_all_of_them() -> None:
    scene = random_scene(2000)
    root = octree(scene.means, 64)
    found = list(leaves(root))
    assert max(len(leaf.rows) for leaf in found) <= 64
    np.testing.assert_array_equal(np.sort(np.concatenate([leaf.rows for leaf in found])), np.arange(2000))
    numbers = cells_of(root)
    assert all((numbers[leaf.rows] == number).all() for number, leaf in enumerate(found))
    # Cells are cubes apart: no centre of one lies among those of another.
    low = [scene.means[leaf.rows].min(axis=0) for leaf in found]
    high = [scene.means[leaf.rows].max(axis=0) for leaf in found]
    overlap = [(np.minimum(high[i], high[j]) > np.maximum(low[i], low[j])).all() for i in range(20) for j in range(i)]
    assert not any(overlap)
    assert len(list(leaves(octree(np.zeros((500, 3), np.float32), 64)))) == 1  # all in one place


def test_level_counts_halve() -> None:
    assert level_counts(100_000) == [100_000, 50_000, 25_000]
    assert level_counts(20_000) == [20_000]
    assert level_counts(5, levels=8) == [5, 3, 2, 1]


@pytest.mark.parametrize("count", [1, 2, 300])
def test_levels_of_small_scenes_and_of_splats_in_one_place(count: int) -> None:
    scene = random_scene(count)
    scene.means[:] = scene.means[0]
    levels = levels_of(scene, np.zeros(count, np.int64), level_counts(count, levels=3))
    for level in levels:
        assert level.scene.count == len(level.cells) > 0
        assert all(np.isfinite(values).all() for values in vars(level.scene).values())


def wall(side: int = 60) -> Gaussians:
    """A painted wall of flat, overlapping splats at z = 4, as training makes them."""
    rng = np.random.default_rng(5)
    x, y = (axis.ravel() for axis in np.meshgrid(np.linspace(-2, 2, side), np.linspace(-1.5, 1.5, side)))
    count = side * side
    means = np.stack([x, y, np.full(count, 4.0)], axis=1) + rng.normal(0, 0.01, (count, 3))
    sh = np.zeros((count, 16, 3))
    paint = np.stack([np.sin(3 * x), np.cos(4 * y), np.sin(2 * x + 3 * y)], axis=1)
    sh[:, 0] = paint + rng.normal(0, 0.1, (count, 3))
    scales = np.log([0.06, 0.05, 0.004]) + rng.normal(0, 0.2, (count, 3))
    quats = np.concatenate([np.ones((count, 1)), rng.normal(0, 0.1, (count, 3))], axis=1)
    quats /= np.linalg.norm(quats, axis=1, keepdims=True)
    arrays = (means, scales, quats, rng.normal(1.5, 1.0, count), sh)
    return Gaussians(*(array.astype(np.float32) for array in arrays))


def camera(x: float = 0.0) -> PinholeView:
    return PinholeView(np.eye(3), np.array([x, 0.0, 0.0]), 240.0, 240.0, 120.0, 90.0, 240, 180)


def seen(scene: Gaussians, factor: float, x: float = 0.0) -> np.ndarray:
    """What a camera at `x` sees, in pictures that are `factor` times smaller."""
    return renderer(scene, 0.1)(camera(x).scaled(round(240 / factor), round(180 / factor))).copy()


def test_coarser_levels_look_like_the_full_scene_where_they_are_shown() -> None:
    scene = wall()
    cells = cells_of(octree(scene.means, 500))
    levels = levels_of(scene, cells, level_counts(scene.count, levels=4))
    assert [level.scene.count for level in levels] == [3600, 1800, 900, 450]
    for number, level in enumerate(levels):
        assert set(level.cells) == set(cells)  # no cell is ever empty
        factor = 2.0 ** (number / 2)
        truth = seen(scene, factor)
        found = psnr(seen(level.scene, factor), truth)
        dropped = psnr(seen(keep_most_visible(scene, level.scene.count), factor), truth)
        if number:
            assert found > max(22.0, dropped + 9.0), (number, found, dropped)


def test_a_fitted_level_is_truer_also_where_nobody_stood() -> None:
    scene, factor = wall(), 2.0
    merged_only = levels_of(scene, np.zeros(scene.count, np.int64), level_counts(scene.count, levels=3))[2].scene
    views = [camera(x) for x in (-0.6, -0.2, 0.2, 0.6)]
    better = fitted(merged_only, scene, views, factor, seed=0)
    np.testing.assert_array_equal(better.means, merged_only.means)
    assert not better.sh[:, 1:].any()  # no degree that the scene has not
    for x in (0.0, 0.4):
        truth = seen(scene, factor, x)
        assert psnr(seen(better, factor, x), truth) > psnr(seen(merged_only, factor, x), truth) + 3.0
    np.testing.assert_array_equal(fitted(merged_only, scene, views, factor, seed=0).sh, better.sh)
