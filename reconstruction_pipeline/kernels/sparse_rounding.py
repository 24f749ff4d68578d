"""Rounding coloured vectors to a grid so that error and bits are least together (rate-distortion optimised rounding).

Plain rounding minimises the error of each number alone. But a bit costs the same wherever it is spent: here every
vector has a weight, errors are judged in a metric that couples its numbers, and codes have prices, so that a number
becomes 0, or its neighbour takes over its part, where that is the cheaper way (entropy-constrained quantisation,
Chou, Lookabaugh and Gray 1989; by coordinate descent, as video encoders round their transforms).  Prices are those of
a lossless coder of pictures: a pixel of zeros is one symbol, others are green, red less green, and blue less green.
"""

# mypy: ignore-errors
from __future__ import annotations

import numpy as np
from numba import prange
from numpy.typing import NDArray

from reconstruction_pipeline.kernels.jit import device, kernel

Array = NDArray[np.float32]
LARGEST = 127
BLOCK = 64
SWEEPS = (0.3, 0.6, 1.0, 1.0)
"""Share of the price in each sweep: a price that grows lets numbers change places before they vanish."""
MOST_NUMBERS = 16
COLOURS = 3


def first_bits() -> Array:
    """Prices to begin with, before any codes are counted."""
    sizes = np.arange(2 * LARGEST + 1)
    bits = np.where(sizes == 0, 1.0, 2.0 + 2.0 * np.log2(np.maximum(sizes, 1)))
    table = np.tile(bits, (COLOURS + 1, 1))
    table[COLOURS, :2] = 0.5, 2.0
    return table.astype(np.float32)


def counted_bits(codes: NDArray[np.int8]) -> Array:
    """Prices (4, 255) by how often codes (N, K, 3) occur: of the sizes of green, red - green and blue - green in pixels
    that are not zero, and in the last row of a pixel that is zero and of one that is not.
    """  # fmt: skip
    red, green, blue = (codes[..., c].astype(np.int64) for c in range(COLOURS))
    some = (codes != 0).any(axis=2)
    table = np.zeros((COLOURS + 1, 2 * LARGEST + 1))
    for row, values in enumerate((green, red - green, blue - green)):
        uses = np.bincount(np.abs(values[some]), minlength=2 * LARGEST + 1) + 0.05
        table[row] = -np.log2(uses / uses.sum()) + (np.arange(2 * LARGEST + 1) > 0)  # and a sign
    share = (float(some.sum()) + 0.5) / (some.size + 1.0)
    table[COLOURS, :2] = -np.log2(1.0 - share), -np.log2(share)
    return table.astype(np.float32)


def sparse_round(
    points: Array, weights: NDArray[np.floating], metric: Array, step: float, price: float, bits: Array
) -> NDArray[np.int8]:
    """Integers c (N, K, 3), -127..127, with small sum_n w_n tr((x - step c)^T M (x - step c)) + price * bits(c).

    points x (N, K, 3), K <= 16, the last axis being red, green, blue; weights w (N,), positive; metric M (K, K),
    positive definite; bits (4, 255): see `counted_bits`.  Every vector is rounded alone: threads do not matter.
    """
    count, numbers, colours = points.shape
    if numbers > MOST_NUMBERS or colours != COLOURS:
        raise ValueError(f"Vectors have at most {MOST_NUMBERS} numbers of 3 colours, not {numbers} of {colours}.")
    codes = np.zeros((count, numbers, colours), np.int8)
    if count:
        prices = (price / (np.maximum(weights, 1e-30).astype(np.float64) * step * step)).clip(0.0, 1e30)
        _round(
            np.ascontiguousarray(points, np.float32), prices.astype(np.float32),
            np.ascontiguousarray(metric, np.float32), np.float32(1.0 / step), np.ascontiguousarray(bits, np.float32),
            np.array(SWEEPS, np.float32), codes,
        )  # fmt: skip
    return codes


@kernel(parallel=True)
def _round(points, prices, metric, per_step, bits, sweeps, codes):
    count, numbers, _ = points.shape
    for block in prange((count + BLOCK - 1) // BLOCK):
        code, rest = np.zeros((MOST_NUMBERS, COLOURS), np.int32), np.zeros((MOST_NUMBERS, COLOURS), np.float32)
        best = np.zeros(COLOURS, np.float32)
        for n in range(block * BLOCK, min((block + 1) * BLOCK, count)):
            for k in range(numbers):
                for c in range(COLOURS):
                    x = points[n, k, c] * per_step
                    code[k, c] = min(max(int(np.rint(x)), -LARGEST), LARGEST)
                    rest[k, c] = x - np.float32(code[k, c])
            for sweep in range(len(sweeps)):
                for k in range(numbers):
                    for c in range(COLOURS):
                        slope = np.float32(0.0)
                        for j in range(numbers):
                            slope += metric[k, j] * rest[j, c]
                        best[c] = np.float32(code[k, c]) + slope / metric[k, k]
                    _choose(best, k, metric[k, k], prices[n] * sweeps[sweep], bits, code, rest)
            for k in range(numbers):
                for c in range(COLOURS):
                    codes[n, k, c] = code[k, c]


@device
def _choose(best, k, weight, price, bits, code, rest):
    """Give pixel k the cheapest of zero and of the colours about its best one; `rest` is x - code."""
    red = green = blue = 0
    least = weight * (best[0] * best[0] + best[1] * best[1] + best[2] * best[2]) + price * bits[COLOURS, 0]
    grey = (best[0] + best[1] + best[2]) * np.float32(1.0 / 3.0)
    for guess in range(5):
        value = best[1] if guess < 2 else grey
        g = 0 if guess == 4 else _bounded(np.floor(value)) + guess % 2
        off = best[1] - np.float32(g)
        total = weight * off * off + price * (bits[COLOURS, 1] + bits[0, abs(g)])
        if total < least:
            r, cost = _beside(best[0], g, weight, price, bits[1])
            total += cost
            if total < least:
                b, cost = _beside(best[2], g, weight, price, bits[2])
                total += cost
                if total < least:
                    least, red, green, blue = total, r, g, b
    rest[k, 0] += np.float32(code[k, 0] - red)
    rest[k, 1] += np.float32(code[k, 1] - green)
    rest[k, 2] += np.float32(code[k, 2] - blue)
    code[k, 0], code[k, 1], code[k, 2] = red, green, blue


@device
def _beside(best, green, weight, price, bits):
    """The cheapest of: as green, the two codes about the best one, zero; and its cost."""
    low = _bounded(np.floor(best))
    off = best - np.float32(green)
    least, chosen = weight * off * off + price * bits[0], green
    for guess in range(3):
        candidate = 0 if guess == 2 else low + guess
        off = best - np.float32(candidate)
        total = weight * off * off + price * bits[abs(candidate - green)]
        if total < least:
            least, chosen = total, candidate
    return chosen, least


@device
def _bounded(value):
    return int(min(max(value, np.float32(-LARGEST)), np.float32(LARGEST - 1)))
