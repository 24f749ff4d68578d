"""Rate-distortion optimised rounding against its own definition."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from reconstruction_pipeline.kernels.sparse_rounding import LARGEST, counted_bits, first_bits, sparse_round

METRIC = np.array([[1.0, 0.9, 0.0], [0.9, 1.0, 0.0], [0.0, 0.0, 0.2]], np.float32)


def costs(codes: np.ndarray, point: np.ndarray, step: float, price: float, bits: np.ndarray) -> np.ndarray:
    """Of candidates (M, K, 3) for a point (K, 3)."""
    off = point - step * codes
    red, green, blue = (codes[..., c] for c in range(3))
    some = bits[3, 1] + bits[0, abs(green)] + bits[1, abs(red - green)] + bits[2, abs(blue - green)]
    spent = np.where((codes == 0).all(axis=2), bits[3, 0], some).sum(axis=1)
    return np.einsum("mkc,kj,mjc->m", off, METRIC, off) + price * spent


def test_without_a_price_it_rounds_in_the_metric() -> None:
    points = np.random.default_rng(0).normal(0, 0.1, (200, 3, 3)).astype(np.float32)
    codes = sparse_round(points, np.ones(200), METRIC, 0.01, 0.0, first_bits())
    seen = np.linalg.cholesky(METRIC.astype(np.float64))
    plain = np.rint(points / 0.01)
    error = np.einsum("nkc,kj->njc", points - 0.01 * codes, seen)
    assert (error**2).sum() <= (np.einsum("nkc,kj->njc", points - 0.01 * plain, seen) ** 2).sum()
    assert np.abs(points - 0.01 * codes).max() < 0.03


def test_it_is_close_to_the_best_of_all_codes() -> None:
    rng = np.random.default_rng(1)
    grey = rng.normal(0, 0.05, (25, 3, 1))
    points = (grey + rng.normal(0, 0.01, (25, 3, 3))).astype(np.float32)
    bits, step, price = first_bits(), 0.05, 2e-4
    codes = sparse_round(points, np.ones(25), METRIC, step, price, bits)
    pixels = [p for p in itertools.product((-2, -1, 0, 1, 2), repeat=3) if max(p) - min(p) <= 1]
    every = np.array(list(itertools.product(pixels, repeat=3)))
    found, least = 0.0, 0.0
    for point, code in zip(points, codes, strict=True):
        found += costs(code.astype(int)[None], point, step, price, bits)[0]
        least += costs(every, point, step, price, bits).min()
    assert least <= found * 1.0001 and found < 1.1 * least


def test_light_vectors_become_zero_and_heavy_ones_do_not() -> None:
    points = np.full((2, 3, 3), 0.04, np.float32)
    codes = sparse_round(points, np.array([1e-3, 1e3]), METRIC, 0.02, 1e-4, first_bits())
    assert not codes[0].any() and (codes[1] == 2).all()


def test_values_beyond_the_grid_are_cut() -> None:
    codes = sparse_round(np.full((1, 3, 3), 10.0, np.float32), np.ones(1), METRIC, 0.01, 0.0, first_bits())
    assert (np.abs(codes.astype(int)) <= LARGEST).all() and codes.max() == LARGEST


def test_prices_are_what_an_entropy_coder_would_spend() -> None:
    codes = np.zeros((4000, 2, 3), np.int8)
    codes[:1000, 0] = 1  # grey pixels: red and blue as green
    bits = counted_bits(codes)
    assert bits[3, 0] == pytest.approx(-np.log2(0.875), abs=0.05)
    assert bits[3, 1] == pytest.approx(3.0, abs=0.1)
    assert bits[1, 0] < 0.1 < 5.0 < bits[1, 1]
