"""A per-channel gain and offset on a picture, and their gradients: one pass each over the pixels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit, prange

_BANDS = 16


@njit(parallel=True, fastmath=True, cache=True, error_model="numpy")
def _apply(image, gain, offset, out):  # type: ignore[no-untyped-def]
    for row in prange(image.shape[0]):
        for column in range(image.shape[1]):
            for c in range(3):
                out[row, column, c] = image[row, column, c] * gain[c] + offset[c]


@njit(parallel=True, fastmath=True, cache=True, error_model="numpy")
def _backward(image, gain, gradient, sums):  # type: ignore[no-untyped-def]
    height = image.shape[0]
    for band in prange(_BANDS):
        gain_sum = np.zeros(3, np.float32)
        offset_sum = np.zeros(3, np.float32)
        for row in range(height * band // _BANDS, height * (band + 1) // _BANDS):
            for column in range(image.shape[1]):
                for c in range(3):
                    g = gradient[row, column, c]
                    gain_sum[c] += g * image[row, column, c]
                    offset_sum[c] += g
                    gradient[row, column, c] = g * gain[c]
        for c in range(3):
            sums[band, c] = gain_sum[c]
            sums[band, 3 + c] = offset_sum[c]


def apply_affine(
    image: npt.NDArray[np.float32], gain: npt.NDArray[np.float32], offset: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """image (H, W, 3) * gain (3,) + offset (3,), a new array."""
    out = np.empty_like(image)
    _apply(image, gain, offset, out)
    return out


def affine_backward(
    image: npt.NDArray[np.float32], gain: npt.NDArray[np.float32], gradient: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """Turn dL/d(output) into dL/d(image) in place; returns dL/d(gain, offset) as (6,)."""
    sums = np.zeros((_BANDS, 6), np.float32)
    _backward(image, gain, gradient, sums)
    return np.asarray(sums.sum(axis=0))
