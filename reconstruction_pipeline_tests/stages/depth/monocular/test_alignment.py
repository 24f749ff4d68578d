from __future__ import annotations

import numpy as np
import pytest

from reconstruction_pipeline.stages.depth.monocular.alignment import align, is_distance

LIMITS = {"limit": 0.1, "min_inliers": 30}


def points(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(predicted, depth): predicted = (1 / depth - 0.05) / 0.02, with a little noise."""
    rng = np.random.default_rng(seed)
    depth = rng.uniform(1.5, 6, count)
    return (1 / depth - 0.05) / 0.02 + rng.normal(0, 0.05, count), depth


@pytest.mark.parametrize("wrong", [0.0, 0.2, 0.4])
def test_scale_and_shift_are_found_despite_outliers(wrong: float) -> None:
    predicted, depth = points(200)
    bad = np.random.default_rng(1).permutation(200)[: int(200 * wrong)]
    depth[bad] = np.random.default_rng(2).uniform(0.3, 30, len(bad))
    fit = align(predicted, depth, **LIMITS)
    assert not fit.refusal
    assert fit.scale == pytest.approx(0.02, rel=0.02) and fit.shift == pytest.approx(0.05, abs=0.003)
    assert fit.residual < (0.01 if wrong < 0.4 else 0.05) and fit.inliers >= 200 - len(bad)


def test_plain_least_squares_would_not_do() -> None:
    """The outliers of the test above do harm: the test can fail."""
    predicted, depth = points(200)
    depth[np.random.default_rng(1).permutation(200)[:80]] = 0.3
    scale, _ = np.polyfit(predicted, 1 / depth, 1)
    assert abs(scale / 0.02 - 1) > 0.2
    assert align(predicted, depth, **LIMITS).scale == pytest.approx(0.02, rel=0.02)


def test_what_does_not_fit_is_refused_and_says_why() -> None:
    predicted, depth = points(200)
    vague = predicted + np.random.default_rng(5).normal(0, 6, 200)
    assert "misses the sparse points" in align(vague, depth, **LIMITS).refusal
    assert align(np.random.default_rng(6).permutation(predicted), depth, **LIMITS).refusal, "unrelated"
    assert align(-predicted, depth, **LIMITS).refusal, "farther is larger"
    assert "only 20" in align(predicted[:20], depth[:20], **LIMITS).refusal
    assert align(np.full(200, 3.0), depth, **LIMITS).refusal, "no depth in it at all"
    predicted[:] = np.nan
    assert "only 0" in align(predicted, depth, **LIMITS).refusal


def test_a_distance_is_told_from_an_inverse() -> None:
    predicted, depth = points(100)
    assert not is_distance(predicted, depth) and is_distance(1 / (0.02 * predicted + 0.05), depth)
