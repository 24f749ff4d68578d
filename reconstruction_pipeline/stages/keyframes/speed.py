"""How fast the picture moves."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

SPEED_WINDOW_S = 0.4


def speed_of(times: Array, progress: Array) -> Array:
    """Diagonals a second about each frame of one scene; `times` in seconds, not descending."""
    before = np.interp(times - SPEED_WINDOW_S / 2, times, progress)
    after = np.interp(times + SPEED_WINDOW_S / 2, times, progress)
    first = np.maximum(times - SPEED_WINDOW_S / 2, times[0])
    last = np.minimum(times + SPEED_WINDOW_S / 2, times[-1])
    return np.asarray((after - before) / np.maximum(last - first, 1e-6))
