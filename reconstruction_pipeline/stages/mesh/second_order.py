"""Filling a picture of inverse depth so that it bends as little as its data allow.

A plane's inverse depth is an affine function of the pixel, so second differences of zero mean flat surfaces, whatever
their slant (total generalised variation, Bredies et al. 2010, in its simplest form). Minimised is

    sum of weight (x - data)^2  +  sum over pixels of bend_x (Dxx x)^2 + bend_y (Dyy x)^2 + 2 bend_xy (Dxy x)^2

by conjugate gradients without a matrix. A weight of 1 / reach^4 smooths over about `reach` pixels.
All arrays have a border of one pixel, in which everything is zero.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

Floats = npt.NDArray[np.float32]
_SETTINGS: dict[str, Any] = {"nogil": True, "fastmath": True, "error_model": "numpy", "cache": True}


@njit(**_SETTINGS)
def _bend(now, given, contrast, crease, step, edge):  # type: ignore[no-untyped-def]
    """From the second differences of the solution and of the data, and the contrast of the picture: 1 for flat."""
    one = np.float32(1.0)
    now, given, contrast = now / crease, given / step, contrast / edge
    contrast = contrast * contrast
    return one / (np.sqrt(one + now * now) * (one + contrast) * (one + given * given * contrast))


@njit(**_SETTINGS)
def bends(x, data, picture, known, given, crease, step, edge, out_x, out_y, out_xy):  # type: ignore[no-untyped-def]
    """Weights of the second differences of `x` (H, W): small where it has a crease already, where the picture has an
    edge, and most where the `data` have a step at an edge; 0 where a pixel is not `known`; `given`: where there are
    data (both uint8).

    crease: second differences below it are noise; step: the same for the data; edge: differences between neighbours
    that are an edge of the picture.
    """
    height, width = x.shape
    two, none = np.float32(2.0), np.float32(0.0)
    for i in range(1, height - 1):
        for j in range(1, width - 1):
            out_x[i, j] = out_y[i, j] = out_xy[i, j] = none
            if not known[i, j]:
                continue
            grey = picture[i, j]
            left, right = abs(picture[i, j - 1] - grey), abs(picture[i, j + 1] - grey)
            up, down = abs(picture[i - 1, j] - grey), abs(picture[i + 1, j] - grey)
            if known[i, j - 1] and known[i, j + 1]:
                now = x[i, j - 1] - two * x[i, j] + x[i, j + 1]
                all_given = given[i, j - 1] and given[i, j] and given[i, j + 1]
                before = data[i, j - 1] - two * data[i, j] + data[i, j + 1] if all_given else none
                out_x[i, j] = _bend(now, before, left + right, crease, step, edge)
            if known[i - 1, j] and known[i + 1, j]:
                now = x[i - 1, j] - two * x[i, j] + x[i + 1, j]
                all_given = given[i - 1, j] and given[i, j] and given[i + 1, j]
                before = data[i - 1, j] - two * data[i, j] + data[i + 1, j] if all_given else none
                out_y[i, j] = _bend(now, before, up + down, crease, step, edge)
            if known[i, j + 1] and known[i + 1, j] and known[i + 1, j + 1]:
                now = x[i, j] - x[i, j + 1] - x[i + 1, j] + x[i + 1, j + 1]
                all_given = given[i, j] and given[i, j + 1] and given[i + 1, j] and given[i + 1, j + 1]
                before = data[i, j] - data[i, j + 1] - data[i + 1, j] + data[i + 1, j + 1] if all_given else none
                out_xy[i, j] = two * _bend(now, before, right + down, crease, step, edge)


@njit(**_SETTINGS)
def _apply(x, weight, bx, by, bxy, rx, ry, rxy, out):  # type: ignore[no-untyped-def]
    """`out` = (weight + D' bend D) x; rx, ry, rxy are room for the weighted second differences."""
    height, width = x.shape
    two = np.float32(2.0)
    for i in range(1, height - 1):
        for j in range(1, width - 1):
            rx[i, j] = bx[i, j] * (x[i, j - 1] - two * x[i, j] + x[i, j + 1])
            ry[i, j] = by[i, j] * (x[i - 1, j] - two * x[i, j] + x[i + 1, j])
            rxy[i, j] = bxy[i, j] * (x[i, j] - x[i, j + 1] - x[i + 1, j] + x[i + 1, j + 1])
    for i in range(1, height - 1):
        for j in range(1, width - 1):
            out[i, j] = (
                weight[i, j] * x[i, j]
                + (rx[i, j - 1] - two * rx[i, j] + rx[i, j + 1])
                + (ry[i - 1, j] - two * ry[i, j] + ry[i + 1, j])
                + (rxy[i, j] - rxy[i, j - 1] - rxy[i - 1, j] + rxy[i - 1, j - 1])
            )


@njit(**_SETTINGS)
def solve(x, data, weight, bx, by, bxy, steps):  # type: ignore[no-untyped-def]
    """`steps` of conjugate gradients from `x` (H, W), in place, with the diagonal as preconditioner."""
    height, width = x.shape
    rx, ry, rxy = np.zeros_like(x), np.zeros_like(x), np.zeros_like(x)
    residual, image, inverse = np.zeros_like(x), np.zeros_like(x), np.zeros_like(x)
    four = np.float32(4.0)
    _apply(x, weight, bx, by, bxy, rx, ry, rxy, image)
    rho = 0.0
    for i in range(1, height - 1):
        for j in range(1, width - 1):
            diagonal = (
                weight[i, j]
                + (bx[i, j - 1] + four * bx[i, j] + bx[i, j + 1])
                + (by[i - 1, j] + four * by[i, j] + by[i + 1, j])
                + (bxy[i, j] + bxy[i, j - 1] + bxy[i - 1, j] + bxy[i - 1, j - 1])
            )
            inverse[i, j] = np.float32(1.0) / diagonal if diagonal > np.float32(0.0) else np.float32(0.0)
            residual[i, j] = weight[i, j] * data[i, j] - image[i, j]
            rho += residual[i, j] * inverse[i, j] * residual[i, j]
    direction = inverse * residual
    for _ in range(steps):
        if rho <= 1e-30:
            break
        _apply(direction, weight, bx, by, bxy, rx, ry, rxy, image)
        curvature = 0.0
        for i in range(1, height - 1):
            for j in range(1, width - 1):
                curvature += direction[i, j] * image[i, j]
        if curvature <= 0.0:
            break
        step = np.float32(rho / curvature)
        following = 0.0
        for i in range(1, height - 1):
            for j in range(1, width - 1):
                x[i, j] += step * direction[i, j]
                residual[i, j] -= step * image[i, j]
                following += residual[i, j] * inverse[i, j] * residual[i, j]
        ratio = np.float32(following / rho)
        rho = following
        for i in range(1, height - 1):
            for j in range(1, width - 1):
                direction[i, j] = inverse[i, j] * residual[i, j] + ratio * direction[i, j]
