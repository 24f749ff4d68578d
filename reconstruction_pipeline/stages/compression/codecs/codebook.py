"""One-dimensional codebooks: 256 values that stand for many, with the least weighted squared error."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

KNOTS = 4096


def weighted_codebook(
    values: npt.NDArray[np.floating],
    weights: npt.NDArray[np.floating],
    size: int = 256,
    iterations: int = 60,
) -> npt.NDArray[np.float32]:
    """`size` ascending float32 values minimising sum_i w_i (v_i - nearest)^2 (Lloyd's algorithm on sorted data).

    `values` and `weights` have the same length M; weights are positive. Sorted values with cumulative sums
    make a pass cost O(size log M). The start follows Panter and Dite (1951): the best density of codes is
    the cube root of the density of values, which already is close to the optimum and leaves outliers a code.
    """
    if not values.size:
        return np.zeros(size, np.float32)
    order = np.argsort(values, kind="stable")
    points = values.astype(np.float64)[order]
    mass = np.concatenate([[0.0], np.cumsum(weights.astype(np.float64)[order])])
    moment = np.concatenate([[0.0], np.cumsum(points * weights.astype(np.float64)[order])])
    codes = _companded_start(points, mass, size)
    for _ in range(iterations):
        cuts = np.searchsorted(points, 0.5 * (codes[1:] + codes[:-1]))
        edges = np.concatenate([[0], cuts, [len(points)]])
        cell_mass = np.diff(mass[edges])
        filled = cell_mass > 0
        updated = codes.copy()
        updated[filled] = np.diff(moment[edges])[filled] / cell_mass[filled]
        moved = np.abs(updated - codes).max()
        codes = np.sort(updated)
        if moved <= 1e-7 * max(1.0, float(np.abs(codes).max())):
            break
    return codes.astype(np.float32)


def nearest_code(codebook: npt.NDArray[np.float32], values: npt.NDArray[np.floating]) -> npt.NDArray[np.uint8]:
    """Index of the nearest entry of an ascending codebook of at most 256; any shape."""
    middles = 0.5 * (codebook[1:].astype(np.float64) + codebook[:-1])
    return np.searchsorted(middles, values).astype(np.uint8)


def _companded_start(
    points: npt.NDArray[np.float64], mass: npt.NDArray[np.float64], size: int
) -> npt.NDArray[np.float64]:
    """Codes spaced so that equal cube roots of density lie between neighbours."""
    ranks = np.searchsorted(mass[1:], np.linspace(0.0, mass[-1], KNOTS + 1), side="left")
    knots = points[np.clip(ranks, 0, len(points) - 1)]
    # Between equal-mass knots density is 1/width, so (density^(1/3)) * width is width^(2/3).
    effort = np.concatenate([[0.0], np.cumsum(np.diff(knots) ** (2.0 / 3.0))])
    wanted = (np.arange(size) + 0.5) / size * effort[-1]
    return np.interp(wanted, effort, knots)


def even_codebook(values: npt.NDArray[np.floating], step: float, size: int = 256) -> npt.NDArray[np.float32]:
    """`size` ascending values on a grid of `step` about zero that covers `values`; coarser where it would not reach.

    Most codes of values that crowd about zero are then the same few, and an entropy coder makes them small. Where the
    grid is too short, its steps grow outwards (as sinh does), so that the middle keeps `step`.
    """
    reach = float(np.abs(values).max(initial=0.0))
    index = np.arange(size) - size // 2
    last = index[-1]
    if reach <= step * last:
        return (step * index).astype(np.float32)
    low, high = 0.0, 1.0
    for _ in range(60):  # bisection of the growth at which the last code is the largest value
        middle = 0.5 * (low + high)
        low, high = (middle, high) if step * np.sinh(middle * last) / middle < reach else (low, middle)
    return (step * np.sinh(high * index) / high).astype(np.float32)
