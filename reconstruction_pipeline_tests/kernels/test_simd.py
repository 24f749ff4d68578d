"""The SIMD type against NumPy, lane by lane."""

from __future__ import annotations

from typing import Any

import numpy as np

from reconstruction_pipeline.kernels import simd, simd_math
from reconstruction_pipeline.kernels.jit import kernel
from reconstruction_pipeline.kernels.simd import (
    any_lane,
    column_lanes,
    fetch_and_add,
    full_ints,
    load,
    mask_bits,
    mask_of_bits,
    maximum,
    minimum,
    or_where,
    row_lanes,
    select,
    store,
    store_ints,
    trailing_zeros,
)
from reconstruction_pipeline.kernels.simd_math import (
    exp2,
    floor,
    load_transposed,
    log2,
    reciprocal,
    sqrt,
    store_transposed,
    sum_lanes,
    sums,
    to_int,
)


@kernel()
def _elementary(x: Any, out: Any) -> None:
    a = load(x, 0)
    store(out, 0, exp2(a))
    store(out, 16, log2(a * a + 1e-3))
    store(out, 32, sqrt(a * a))
    store(out, 48, reciprocal(a))
    store(out, 64, floor(a))
    store(out, 80, select((a > 0.5) & ~(a >= 2.0) | (a < -3), a, -1.0))
    store(out, 96, minimum(maximum(a, -0.5), 0.25))
    store(out, 112, 1.0 / a - 2 * a / 3.0 + -a + column_lanes() * 10.0 + row_lanes())


def test_elementary_functions() -> None:
    x = (np.random.default_rng(0).normal(size=16) * 3).astype(np.float32)
    out = np.zeros(128, np.float32)
    _elementary(x, out)
    a = x.astype(np.float64)
    lane = np.arange(16)
    expected = [
        2.0**a,
        np.log2(a * a + 1e-3),
        np.abs(a),
        1 / a,
        np.floor(a),
        np.where(((a > 0.5) & (a < 2)) | (a < -3), a, -1),
        np.clip(a, -0.5, 0.25),
        1 / a - 2 * a / 3 - a + lane % 4 * 10 + lane // 4,
    ]
    np.testing.assert_allclose(out.reshape(8, 16), np.stack(expected), rtol=5e-7, atol=2e-6)


@kernel()
def _exp2_many(x: Any, out: Any) -> None:
    for k in range(0, x.size, 16):
        store(out, k, exp2(load(x, k)))


def test_exp2_is_clamped_on_both_sides() -> None:
    x = np.tile(
        np.array([-np.inf, -1e30, -500, -125, -1, 0, 1, 125, 500, 1e30, np.inf, np.nan, 0.5, -0.5, 2, 3], np.float32), 1
    )
    out = np.zeros(16, np.float32)
    _exp2_many(x, out)
    assert np.isfinite(out).all()
    np.testing.assert_allclose(out[:11], 2.0 ** np.clip(x[:11].astype(np.float64), -125, 125), rtol=2e-7)
    grid = np.linspace(-124, 124, 160_000).astype(np.float32)
    out = np.zeros_like(grid)
    _exp2_many(grid, out)
    np.testing.assert_allclose(out, 2.0 ** grid.astype(np.float64), rtol=3e-7)


@kernel()
def _integers(x: Any, out: Any, counter: Any) -> None:
    a = load(x, 0)
    store_ints(out, 0, to_int(a * 3.0))
    store_ints(out, 16, or_where(mask_of_bits(0b101), full_ints(2), 1 << 3))
    out[32] = mask_bits(a > 0.0)
    out[33] = any_lane(a > 1e9)
    out[34] = any_lane(a < 1e9)
    out[35] = trailing_zeros(np.int64(0b101000))
    out[36] = fetch_and_add(counter, 0, 3)
    out[37] = fetch_and_add(counter, 0, 3)


def test_masks_and_integers() -> None:
    x = np.random.default_rng(1).normal(size=16).astype(np.float32)
    out, counter = np.zeros(38, np.int32), np.zeros(1, np.int64)
    _integers(x, out, counter)
    np.testing.assert_array_equal(out[:16], (x * np.float32(3)).astype(np.int32))
    np.testing.assert_array_equal(out[16:32], [10, 2, 10] + [2] * 13)
    assert out[32] == sum(1 << k for k in range(16) if x[k] > 0)
    assert out[33:38].tolist() == [0, 1, 3, 0, 3] and counter[0] == 6


@kernel()
def _permutations(x: Any, out: Any) -> None:
    rows = load_transposed(x, 0)
    for k in range(16):
        store(out, 16 * k, rows[k])
    store_transposed(out, 256, rows)
    store(out, 512, sums((rows[0], rows[5], rows[15])))
    out[528] = sum_lanes(rows[3])


def test_transposes_and_sums() -> None:
    x = np.random.default_rng(2).normal(size=(16, 16)).astype(np.float32)
    out = np.zeros(529, np.float32)
    _permutations(x.reshape(-1), out)
    np.testing.assert_array_equal(out[:256].reshape(16, 16), x.T)
    np.testing.assert_array_equal(out[256:512].reshape(16, 16), x)
    columns = x.astype(np.float64).sum(0)
    np.testing.assert_allclose(out[512:528], [columns[0], columns[5], columns[15]] + [0] * 13, atol=2e-6)
    np.testing.assert_allclose(out[528], columns[3], atol=2e-6)


def test_lanes_are_sixteen_everywhere() -> None:
    assert simd.LANES == simd_math.LANES == 16
