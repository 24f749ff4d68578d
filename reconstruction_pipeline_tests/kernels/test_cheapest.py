"""Priced codes against plain searches."""

from __future__ import annotations

import numpy as np

from reconstruction_pipeline.kernels.cheapest import cheapest_codes, cheapest_rotations


def test_codes_minimise_error_plus_price() -> None:
    rng = np.random.default_rng(0)
    values, weights = rng.normal(size=400), rng.uniform(0.1, 10.0, 400)
    book, bits = np.sort(rng.normal(size=256)), rng.uniform(1.0, 9.0, 256)
    for price in (0.0, 0.01):
        cost = weights[:, None] * (values[:, None] - book) ** 2 + price * bits
        chosen = cheapest_codes(values, weights, book, bits, price)
        np.testing.assert_allclose(cost[np.arange(400), chosen], cost.min(axis=1), rtol=1e-3, atol=1e-6)


def test_rotations_without_a_choice_are_the_nearest_codes() -> None:
    rng = np.random.default_rng(1)
    quats = rng.normal(size=(300, 4))
    quats /= np.linalg.norm(quats, axis=1, keepdims=True)
    identity, order = np.array([[1.0, 0.0, 0.0, 0.0]]), np.array([[0, 1, 2]])
    codes, taken = cheapest_rotations(quats, np.ones((300, 3)), identity, order, np.zeros((4, 256)), 0.0)
    largest = np.abs(quats).argmax(axis=1)
    signed = quats * np.sign(quats[np.arange(300), largest])[:, None]
    rest = signed[np.arange(4) != largest[:, None]].reshape(-1, 3)
    assert not taken.any()
    np.testing.assert_array_equal(codes[:, 3], largest)
    assert np.abs(codes[:, :3] - 255 * (rest / np.sqrt(2) + 0.5)).max() < 0.51


def test_dear_bits_pull_towards_common_codes() -> None:
    values, weights = np.linspace(0, 1, 200), np.full(200, 1.0)
    bits = np.full(256, 12.0)
    bits[128] = 1.0
    near = cheapest_codes(values, weights, np.arange(256) / 255, bits, 1e-9)
    far = cheapest_codes(values, weights, np.arange(256) / 255, bits, 1.0)
    assert len(np.unique(near)) > 190 and (far == 128).all()
