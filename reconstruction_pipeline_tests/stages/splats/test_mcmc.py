"""MCMC steps: what relocation and growth must keep, and the noise."""

import numpy as np
import pytest

from reconstruction_pipeline.kernels import layout
from reconstruction_pipeline.kernels.langevin import add_noise, regularise
from reconstruction_pipeline.stages.splats import mcmc


def scene(count=200, capacity=512, seed=0, opacity=None):
    rng = np.random.default_rng(seed)
    opacity = rng.uniform(0.1, 0.9, count) if opacity is None else opacity
    planes = layout.to_planes(
        rng.standard_normal((count, 3)).astype(np.float32),
        rng.uniform(-4, -2, (count, 3)).astype(np.float32),
        rng.standard_normal((count, 4)).astype(np.float32),
        np.log(opacity / (1 - opacity)).astype(np.float32),
        rng.standard_normal((count, 16, 3)).astype(np.float32),
        capacity=capacity,
    )
    return planes, (np.ones_like(planes), np.ones_like(planes)), np.ones((2, planes.shape[1]), np.float32)


def test_copies_together_are_as_opaque_as_the_original():
    opacity = np.array([0.02, 0.3, 0.9, 0.999])
    for copies in (1, 2, 5, 50):
        new, shrink = mcmc.share_opacity(opacity, np.full(4, copies))
        np.testing.assert_allclose(1 - (1 - new) ** copies, opacity, rtol=1e-9)
        assert np.all(shrink > 0) and np.all(shrink <= 1 + 1e-9)
    _, alone = mcmc.share_opacity(opacity, np.ones(4, int))
    np.testing.assert_allclose(alone, 1.0)


def test_scale_factor_is_equation_nine_written_out():
    from math import comb, sqrt

    o, n = 0.7, 3
    new = 1 - (1 - o) ** (1 / n)
    total = sum(comb(i - 1, k) * (-1) ** k / sqrt(k + 1) * new ** (k + 1) for i in range(1, n + 1) for k in range(i))
    _, shrink = mcmc.share_opacity(np.array([o]), np.array([n]))
    assert shrink[0] == pytest.approx(o / total, rel=1e-12)


def test_copies_keep_the_integral_of_what_a_ray_meets():
    # Eq. 9 makes the integral of alpha over the line the same before and after (one dimension suffices).
    x = np.linspace(-8, 8, 20001)
    for o, n in ((0.5, 2), (0.9, 4), (0.2, 10)):
        new, shrink = mcmc.share_opacity(np.array([o]), np.array([n]))
        before = o * np.exp(-(x**2) / 2)
        after = 1 - (1 - new[0] * np.exp(-(x**2) / (2 * shrink[0] ** 2))) ** n
        assert np.trapezoid(after, x) == pytest.approx(np.trapezoid(before, x), rel=1e-6)


def relocate(planes, moments, tallies, count, rng):
    moves = mcmc.relocation(mcmc.opacities(planes[layout.OPACITY, :count]), rng, 0.005)
    if moves is not None:
        mcmc.place(moves, planes, moments, tallies, np.asarray)
    return 0 if moves is None else len(moves.slots)


def grow(planes, moments, tallies, count, target):
    target = min(target, planes.shape[1])
    moves = mcmc.growth(mcmc.opacities(planes[layout.OPACITY, :count]), target, np.random.default_rng(0), 0.005)
    if moves is not None:
        mcmc.place(moves, planes, moments, tallies, np.asarray)
    return count if moves is None else target


def test_relocation_leaves_no_dead_and_forgets_moments():
    opacity = np.random.default_rng(1).uniform(0.2, 0.9, 200)
    opacity[::4] = 0.001
    planes, moments, score = scene(opacity=opacity)
    untouched = planes.copy()
    assert relocate(planes, moments, score, 200, np.random.default_rng(2)) == 50
    assert (mcmc.opacities(planes[layout.OPACITY, :200]) > 0.005).all()
    alive_means = {tuple(row) for row in untouched[:3, :200][:, np.arange(200) % 4 != 0].T}
    assert {tuple(row) for row in planes[:3, :200].T} <= alive_means
    changed = np.any(planes[:, :200] != untouched[:, :200], axis=0)
    for moment in moments:
        assert (moment[:, :200][:, changed] == 0).all() and (moment[:, :200][:, ~changed] == 1).all()


def test_relocation_without_dead_or_without_living_changes_nothing():
    for opacity in (np.full(64, 0.5), np.full(64, 0.001)):
        planes, moments, score = scene(64, 64, opacity=opacity)
        before = planes.copy()
        assert relocate(planes, moments, score, 64, np.random.default_rng(0)) == 0
        np.testing.assert_array_equal(planes, before)


def test_growth_reaches_the_target_and_never_passes_the_columns():
    planes, moments, score = scene(200, 512)
    capacity = planes.shape[1]
    assert grow(planes, moments, score, 200, 333) == 333
    assert grow(planes, moments, score, 333, 100) == 333
    assert grow(planes, moments, score, 333, 10**6) == capacity
    assert np.isfinite(planes).all()


def test_growth_prefers_opaque_gaussians():
    opacity = np.full(200, 0.05)
    opacity[:10] = 0.95
    planes, moments, score = scene(opacity=opacity)
    grow(planes, moments, score, 200, 400)
    strong = {tuple(row) for row in planes[:3, :10].T}
    share = np.mean([tuple(row) in strong for row in planes[:3, 200:400].T])
    assert share == pytest.approx(9.5 / (9.5 + 9.5), abs=0.12)


def test_noise_has_the_shape_of_the_gaussian_and_moves_only_the_faint():
    n = 40_000
    sigma = np.array([0.05, 0.02, 0.01])
    angle = 0.7
    quat = np.array([np.cos(angle / 2), 0, 0, np.sin(angle / 2)])
    logits = np.full(n, -8.0, np.float32)
    logits[::2] = 2.0
    planes = layout.to_planes(
        np.zeros((n, 3), np.float32), np.tile(np.log(sigma), (n, 1)).astype(np.float32),
        np.tile(3 * quat, (n, 1)).astype(np.float32), logits, np.zeros((n, 16, 3), np.float32),
    )  # fmt: skip
    add_noise(planes, n, 80.0, seed=5, step=9)
    moved = planes[:3, :n]
    assert (moved[:, ::2] == 0).all()
    faint = moved[:, 1::2].astype(float)
    c, s = np.cos(angle), np.sin(angle)
    rotation = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    gate = 80.0 / (1 + np.exp(100 * (1 / (1 + np.exp(8.0)) - 0.005)))
    covariance = gate**2 * rotation @ np.diag(sigma**4) @ rotation.T
    np.testing.assert_allclose(np.cov(faint), covariance, atol=0.04 * covariance.max())
    assert np.abs(faint.mean(axis=1)).max() < 0.03 * np.sqrt(covariance.max())


def test_noise_repeats_for_the_same_step_and_differs_between_steps():
    a, _, _ = scene(opacity=np.full(200, 0.01))
    b, c = a.copy(), a.copy()
    add_noise(a, 200, 1.0, 3, 7)
    add_noise(b, 200, 1.0, 3, 7)
    add_noise(c, 200, 1.0, 3, 8)
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, c)


def test_noise_is_finite_at_the_limits_of_opacity():
    # An exponential without an upper clamp once made NaN positions at high opacity.
    planes, _, _ = scene(64, 64)
    planes[layout.OPACITY, :64] = np.linspace(-60, 60, 64)
    add_noise(planes, 64, 80.0, 0, 0)
    assert np.isfinite(planes).all()


def test_regularisers_are_the_gradients_of_their_means():
    planes, _, _ = scene(200)
    grads = np.zeros_like(planes)
    regularise(planes, grads, 200, 0.01, 0.02)
    o = mcmc.opacities(planes[layout.OPACITY, :200])
    np.testing.assert_allclose(grads[layout.OPACITY, :200], 0.01 / 200 * o * (1 - o), rtol=1e-4)
    scales = slice(layout.LOG_SCALE, layout.LOG_SCALE + 3)
    np.testing.assert_allclose(grads[scales, :200], 0.02 / 600 * np.exp(planes[scales, :200]), rtol=1e-4)
    grads[scales] = grads[layout.OPACITY] = 0
    assert not grads.any()
