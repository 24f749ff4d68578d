"""Image quality for evaluation: PSNR and SSIM in double precision, independent of the training kernel."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

WINDOW = 11
SIGMA = 1.5


def as_unit(image: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """An image as doubles in 0..1: 8-bit values are divided by 255, floats are clamped (as a display would)."""
    if image.dtype == np.uint8:
        return np.asarray(image.astype(np.float64) / 255.0)
    return np.clip(image.astype(np.float64), 0.0, 1.0)


def psnr(image: npt.NDArray[Any], target: npt.NDArray[Any]) -> float:
    """Peak signal-to-noise ratio in dB of two (H, W, 3) images, peak 1; raw, nothing is fitted. Equal images: 100."""
    error = float(np.mean((as_unit(image) - as_unit(target)) ** 2))
    return 100.0 if error < 1e-10 else -10.0 * math.log10(error)


def ssim(image: npt.NDArray[Any], target: npt.NDArray[Any]) -> float:
    """Mean SSIM (Wang et al. 2004) of two (H, W, 3) images: 11x11 Gaussian window, sigma 1.5, zero padding."""
    from scipy.ndimage import correlate1d

    offsets = np.arange(WINDOW) - WINDOW // 2
    taps = np.exp(-(offsets**2) / (2.0 * SIGMA**2))
    taps /= taps.sum()

    def blur(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        rows = correlate1d(values, taps, axis=0, mode="constant")
        return np.asarray(correlate1d(rows, taps, axis=1, mode="constant"))

    x, y = as_unit(image), as_unit(target)
    mx, my = blur(x), blur(y)
    variance_x, variance_y = blur(x * x) - mx * mx, blur(y * y) - my * my
    covariance = blur(x * y) - mx * my
    c1, c2 = 0.01**2, 0.03**2
    values = (2 * mx * my + c1) * (2 * covariance + c2)
    values /= (mx * mx + my * my + c1) * (variance_x + variance_y + c2)
    return float(values.mean())
