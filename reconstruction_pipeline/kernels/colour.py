"""Per-channel sums and gains over a picture, in one parallel pass each."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import prange

from reconstruction_pipeline.kernels.jit import kernel

_BANDS = 16


@kernel(parallel=True, reassociate=True)
def _products(image, target, scale, sums):  # type: ignore[no-untyped-def]
    height = image.shape[0]
    for band in prange(_BANDS):
        cross = np.zeros(3, np.float32)
        square = np.zeros(3, np.float32)
        for row in range(height * band // _BANDS, height * (band + 1) // _BANDS):
            for column in range(image.shape[1]):
                for c in range(3):
                    x = image[row, column, c]
                    cross[c] += x * np.float32(target[row, column, c]) * scale
                    square[c] += x * x
        for c in range(3):
            sums[band, c] = cross[c]
            sums[band, 3 + c] = square[c]


@kernel(parallel=True, reassociate=True)
def _scale(image, gain, out):  # type: ignore[no-untyped-def]
    for row in prange(image.shape[0]):
        for column in range(image.shape[1]):
            for c in range(3):
                out[row, column, c] = image[row, column, c] * gain[c]


def fitted_gain(
    image: npt.NDArray[np.float32], target: npt.NDArray[np.float32] | npt.NDArray[np.uint8]
) -> npt.NDArray[np.float64]:
    """(3,) gain that fits `image` (H, W, 3) to `target` in least squares (8-bit: value / 255); 1 for black."""
    sums = np.zeros((_BANDS, 6))
    _products(image, target, np.float32(1.0 / 255.0 if target.dtype == np.uint8 else 1.0), sums)
    cross, square = sums.sum(axis=0).reshape(2, 3)
    return np.where(square > 1e-6 * image.shape[0] * image.shape[1], cross / np.maximum(square, 1e-12), 1.0)


def scale_channels(
    image: npt.NDArray[np.float32], gain: npt.NDArray[np.float32], out: npt.NDArray[np.float32] | None = None
) -> npt.NDArray[np.float32]:
    """image (H, W, 3) * gain (3,); `out` may be `image` itself."""
    result = np.empty_like(image) if out is None else out
    _scale(image, gain, result)
    return result
