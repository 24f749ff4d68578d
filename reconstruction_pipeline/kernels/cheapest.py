"""Codes for numbers and rotations, chosen by error and bits together: the inner loops of the SOG writer.

Every number has a weight (what its squared error costs in the pictures) and every code a price in bits, so that what
is hardly seen takes a common code and what fills the picture the nearest one (entropy-constrained quantisation, Chou,
Lookabaugh and Gray 1989).  Each number is decided alone: results do not depend on the number of threads.
"""

# mypy: ignore-errors
from __future__ import annotations

import numpy as np
from numba import prange
from numpy.typing import NDArray

from reconstruction_pipeline.kernels.jit import device, kernel

Array = NDArray[np.floating]
BLOCK = 256
WINDOW = 24


def cheapest_codes(values: Array, weights: Array, book: Array, bits: Array, price: float) -> NDArray[np.uint8]:
    """The code k for each value that minimises w (v - book[k])^2 + price bits[k].

    values, weights (M,); book, bits (256,).
    """
    codes = np.zeros(len(values), np.uint8)
    cost = np.ascontiguousarray(np.float32(price) * bits, np.float32)
    _cheapest(_floats(values), _floats(weights), _floats(book), cost, codes)
    return codes


def cheapest_rotations(
    quats: Array, weights: Array, turns: Array, orders: NDArray[np.int64], bits: Array, price: float
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Smallest-three codes (N, 4), RGB and the index of what is left out, and which of `turns` was taken (N,).

    quats (N, 4) unit wxyz; weights (N, 3) of squared small rotations about the ellipsoid's axes, in radians; turns
    (T, 4) quaternions that may be multiplied from the right, after which axis i is what axis orders[t, i] was; bits
    (4, 256): of the codes of the three components, and of the index.
    """
    codes, taken = np.zeros((len(quats), 4), np.uint8), np.zeros(len(quats), np.uint8)
    cost = np.ascontiguousarray(np.float32(price) * bits, np.float32)
    rules = 2 if cost.any() else 1  # where no code costs anything, the nearest is the cheapest
    _rotations(_floats(quats), _floats(weights), _floats(turns), orders, cost, rules, codes, taken)
    return codes, taken


def _floats(values: Array) -> NDArray[np.float32]:
    return np.ascontiguousarray(values, np.float32)


@kernel(parallel=True)
def _cheapest(values, weights, book, cost, codes):
    for block in prange((len(values) + BLOCK - 1) // BLOCK):
        for n in range(block * BLOCK, min((block + 1) * BLOCK, len(values))):
            least, chosen = np.float32(np.inf), 0
            for k in range(len(book)):
                off = values[n] - book[k]
                total = weights[n] * off * off + cost[k]
                if total < least:
                    least, chosen = total, k
            codes[n] = chosen


@kernel(parallel=True)
def _rotations(quats, weights, turns, orders, cost, rules, codes, taken):
    for block in prange((len(quats) + BLOCK - 1) // BLOCK):
        q, code, trial = np.zeros(4, np.float32), np.zeros(4, np.int64), np.zeros(4, np.int64)
        for n in range(block * BLOCK, min((block + 1) * BLOCK, len(quats))):
            least = np.float32(np.inf)
            even = (weights[n, 0] + weights[n, 1] + weights[n, 2]) * np.float32(4.0 / 3.0)
            for t in range(len(turns)):
                _product(quats, n, turns, t, q)
                largest = 0
                for k in range(1, 4):
                    if abs(q[k]) > abs(q[largest]):
                        largest = k
                if q[largest] < 0:
                    for k in range(4):
                        q[k] = -q[k]
                trial[3] = largest
                for rule in range(rules):
                    slot = 0
                    for k in range(4):
                        if k != largest:
                            trial[slot] = _component(q[k], even, cost, slot, rule == 1)
                            slot += 1
                    total = _turn_error(q, trial, weights, n, orders, t)
                    for slot in range(4):
                        total += cost[slot, trial[slot]]
                    if total < least:
                        least = total
                        taken[n] = t
                        code[:] = trial
            for k in range(4):
                codes[n, k] = code[k]


@device
def _product(a, i, b, j, out):
    """Hamilton product a[i] b[j] of quaternions wxyz."""
    aw, ax, ay, az = a[i, 0], a[i, 1], a[i, 2], a[i, 3]
    bw, bx, by, bz = b[j, 0], b[j, 1], b[j, 2], b[j, 3]
    out[0] = aw * bw - ax * bx - ay * by - az * bz
    out[1] = aw * bx + ax * bw + ay * bz - az * by
    out[2] = aw * by - ax * bz + ay * bw + az * bx
    out[3] = aw * bz + ax * by - ay * bx + az * bw


@device
def _component(value, weight, cost, slot, by_price):
    """The nearest code of a component, or the cheapest near it; a code k stands for (k / 255 - 0.5) sqrt(2)."""
    exact = (value * np.float32(0.70710678) + np.float32(0.5)) * np.float32(255.0)
    nearest = min(max(int(np.rint(exact)), 0), 255)
    if not by_price:
        return nearest
    step = np.float32(1.41421356 / 255.0)
    least, chosen = np.float32(np.inf), nearest
    for k in range(max(nearest - WINDOW, 0), min(nearest + WINDOW, 255) + 1):
        off = (exact - np.float32(k)) * step
        total = weight * off * off + cost[slot, k]
        if total < least:
            least, chosen = total, k
    return chosen


@device
def _turn_error(q, code, weights, n, orders, t):
    """Weighted squared rotation from q to what the code stands for, about q's own axes."""
    largest, slot, squares = code[3], 0, np.float32(0.0)
    w = x = y = z = np.float32(0.0)
    for k in range(4):
        if k != largest:
            value = (np.float32(code[slot]) * np.float32(1.0 / 255.0) - np.float32(0.5)) * np.float32(1.41421356)
            squares += value * value
            slot += 1
            if k == 0:
                w = value
            elif k == 1:
                x = value
            elif k == 2:
                y = value
            else:
                z = value
    left = np.sqrt(max(np.float32(1.0) - squares, np.float32(0.0)))
    if largest == 0:
        w = left
    elif largest == 1:
        x = left
    elif largest == 2:
        y = left
    else:
        z = left
    norm = np.float32(4.0) / (squares + left * left)
    # conj(q) times the decoded quaternion; its vector part is half the small rotation.
    dx = q[0] * x - q[1] * w - q[2] * z + q[3] * y
    dy = q[0] * y + q[1] * z - q[2] * w - q[3] * x
    dz = q[0] * z - q[1] * y + q[2] * x - q[3] * w
    return norm * (
        weights[n, orders[t, 0]] * dx * dx + weights[n, orders[t, 1]] * dy * dy + weights[n, orders[t, 2]] * dz * dz
    )
