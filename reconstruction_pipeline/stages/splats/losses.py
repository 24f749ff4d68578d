"""The depth loss, in numpy; that of colour is a kernel (`kernels.loss`)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

DEPTH_TOLERANCE = 0.15
"""Relative depth errors beyond this are taken for outliers (an occluder the depth map did not see): no gradient."""


def depth_loss(expected: Array, depth: Array, weight: float) -> tuple[float, Array]:
    """weight * mean over known pixels of min(|expected - depth| / depth, DEPTH_TOLERANCE); gradient by `expected`.

    `expected` (H, W) is the rendered mean z, 0 where nothing was drawn; `depth` (H, W) the measured z in
    the same unit, 0 where unknown. The relative error weighs near and far surfaces alike, and its
    truncation is the simplest robust loss: depth maps are wrong at their silhouettes.
    """
    known = (depth > 0.0) & (expected > 0.0)
    count = max(1, int(known.sum()))
    safe = np.where(known, depth, np.float32(1.0))
    error = np.where(known, (expected - depth) / safe, np.float32(0.0))
    size = np.abs(error)
    inside = size < DEPTH_TOLERANCE
    value = float(np.minimum(size, DEPTH_TOLERANCE).sum()) / count
    gradient = np.where(inside, np.sign(error) / safe, np.float32(0.0)) * np.float32(weight / count)
    return weight * value, gradient.astype(np.float32, copy=False)
