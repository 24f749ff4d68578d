"""HDR and wide gamut to the BT.709 colours every later stage expects.

HLG and PQ are decoded to display light as ITU-R BT.2100 defines, converted from BT.2020 primaries, and
tone-mapped by Hable's filmic curve on the largest channel, as FFmpeg's `tonemap=hable:desat=0` does, so that hues
stay. The light is coded for the display of ITU-R BT.1886, as FFmpeg's `zscale` does. The curve is the same for every
frame of a video: a frame's own brightest spot must not change the others.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating[Any]]

PQ, HLG = 16, 18  # ITU-T H.273 transfer characteristics
REFERENCE_NITS = 100.0
HLG_PEAK_NITS = 1000.0
# What a PQ video without metadata is taken to be graded for.
HDR_PEAK_NITS = 1000.0
DISPLAY_GAMMA = 2.4
BT2020_TO_BT709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32
)
DISPLAY_P3_TO_BT709 = np.array([[1.2249, -0.2247, 0.0], [-0.0420, 1.0419, 0.0], [-0.0197, -0.0786, 1.0979]], np.float32)
# ITU-T H.273 colour primaries that are clearly wider than BT.709's.
WIDE_PRIMARIES = {9: BT2020_TO_BT709, 12: DISPLAY_P3_TO_BT709}


def is_hdr(transfer: int) -> bool:
    """Whether the H.273 transfer characteristic is PQ or HLG."""
    return transfer in (PQ, HLG)


def tone_map(rgb: npt.NDArray[np.uint16], transfer: int, peak_nits: float = HDR_PEAK_NITS) -> npt.NDArray[np.uint8]:
    """(H, W, 3) 16-bit BT.2020 RGB, PQ or HLG coded, to 8-bit BT.709. `peak_nits` is of a PQ video."""
    light = _to_light(transfer)[rgb]
    if transfer == HLG:
        # The system gamma of a 1000 nit display, on luminance alone.
        luminance = light @ np.array([0.2627, 0.6780, 0.0593], np.float32)
        light *= (HLG_PEAK_NITS * np.maximum(luminance, 1e-6) ** 0.2)[..., None]
        peak_nits = HLG_PEAK_NITS
    light = np.maximum(light @ BT2020_TO_BT709.T, 0) / REFERENCE_NITS
    brightest = np.maximum(light.max(axis=2, keepdims=True), 1e-6)
    light *= _hable(brightest) / _hable(np.float32(peak_nits / REFERENCE_NITS)) / brightest
    return _to_bytes(light)


def to_bt709_primaries(rgb: npt.NDArray[np.uint8], primaries: int) -> npt.NDArray[np.uint8]:
    """(H, W, 3) 8-bit RGB of H.273 `primaries` to those of BT.709; unchanged where they are close already."""
    if primaries not in WIDE_PRIMARIES:
        return rgb
    table = (np.arange(256, dtype=np.float32) / 255) ** np.float32(DISPLAY_GAMMA)
    return _to_bytes(np.maximum(table[rgb] @ WIDE_PRIMARIES[primaries].T, 0))


@lru_cache(maxsize=2)
def _to_light(transfer: int) -> npt.NDArray[np.float32]:
    codes = np.arange(65536, dtype=np.float32) / 65535
    table = _pq_to_nits(codes) if transfer == PQ else _hlg_to_scene(codes)
    return table.astype(np.float32)


def _hlg_to_scene(code: Array) -> Array:
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(code <= 0.5, code * code / 3, (np.exp((code - c) / a) + b) / 12)


def _pq_to_nits(code: Array) -> Array:
    m1, m2, c1, c2, c3 = 0.1593017578125, 78.84375, 0.8359375, 18.8515625, 18.6875
    power = code ** (1 / m2)
    return 10000.0 * (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1)


def _hable(x: Any) -> Any:
    return (x * (0.15 * x + 0.05) + 0.004) / (x * (0.15 * x + 0.5) + 0.06) - 0.02 / 0.3


def _to_bytes(light: Array) -> npt.NDArray[np.uint8]:
    return np.round(np.clip(light, 0, 1) ** (1 / DISPLAY_GAMMA) * 255).astype(np.uint8)
