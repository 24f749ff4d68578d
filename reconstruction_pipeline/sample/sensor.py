"""The camera's electronics: exposure that drifts, a lens's falloff, sensor noise, the sRGB curve."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from reconstruction_pipeline.sample.variants import Variant

_BASE_EXPOSURE = 1.15
_DRIFT_EV = 0.52  # to either side, in stops: 15 % of the picture's values, since they grow with about its 2.2nd root
_FALLOFF = 0.10  # light lost at the corners
_NOISE_LEVELS = 1.2  # standard deviation at mid grey, in 8-bit levels
_TABLE = 4096


def exposure(variant: Variant, time: float) -> float:
    """Factor on the light at `time` seconds: an automatic exposure that drifts up and down once over the video."""
    phase = 2 * np.pi * time / variant.seconds
    wave = 0.93 * np.sin(phase + 0.5) + 0.2 * np.sin(3 * phase + 1.0)
    return float(_BASE_EXPOSURE * 2 ** (_DRIFT_EV * wave))


def develop(light: NDArray[np.float32], gain: float, seed: int, frame: int) -> NDArray[np.uint8]:
    """8-bit sRGB picture (h, w, 3) of linear `light` (h, w, 3) times `gain`.

    Noise is made in small and tiled with random offsets: cheap, and gone from sight after the codec anyway.
    """
    rng = np.random.default_rng([seed, 13, frame])
    tile = rng.normal(scale=_NOISE_LEVELS, size=(256, 256)).astype(np.float32)
    value = np.linspace(0, 1, _TABLE) ** 2  # a table over the square root: finer where the curve is steep
    curve = np.where(value <= 0.0031308, 12.92 * value, 1.055 * value ** (1 / 2.4) - 0.055)
    out = np.empty(light.shape, np.uint8)
    _develop(light, np.float32(gain), (255 * curve).astype(np.float32), tile, np.float32(_FALLOFF), out)
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def _develop(light, gain, curve, tile, falloff, out):  # type: ignore[no-untyped-def]
    height, width = light.shape[:2]
    corner = np.float32(1.0 / ((height / 2.0) ** 2 + (width / 2.0) ** 2))
    last = np.float32(curve.shape[0] - 1)
    for row in range(height):
        for column in range(width):
            dy, dx = row + 0.5 - height / 2.0, column + 0.5 - width / 2.0
            lens = gain * (np.float32(1) - falloff * np.float32(dx * dx + dy * dy) * corner)
            for channel in range(3):
                value = min(max(light[row, column, channel] * lens, np.float32(0)), np.float32(1))
                noise = tile[(row + 85 * channel) & 255, (column + 37 * channel) & 255]
                level = curve[int(np.sqrt(value) * last + np.float32(0.5))] + noise + np.float32(0.5)
                out[row, column, channel] = np.uint8(min(max(level, np.float32(0)), np.float32(255)))
