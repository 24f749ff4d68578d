"""How Gaussians lie in memory: one float32 plane per parameter, so that kernels take 16 Gaussians at a time.

`planes` is `float32[59, capacity]`, C-contiguous, capacity a multiple of 16; the first `count` columns are alive.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

MEAN = 0  # 3 rows: world position
LOG_SCALE = 3  # 3 rows: natural logarithm of the standard deviations
QUAT = 6  # 4 rows: rotation w x y z, of any length
OPACITY = 10  # 1 row: logit
SH = 11  # 48 rows: row SH + 3 k + c holds coefficient k of channel c
ROWS = 59
SH_COEFFICIENTS = 16
DEAD_LOGIT = np.float32(-30.0)


def aligned_zeros(shape: tuple[int, ...], dtype: type = np.float32) -> NDArray:
    """Zeros whose first element is on a cache line, as 64-byte vector accesses like it."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    raw = np.zeros(size + 64, dtype=np.uint8)
    offset = -raw.ctypes.data % 64
    return raw[offset : offset + size].view(dtype).reshape(shape)


def capacity_for(count: int) -> int:
    """Smallest good plane length for `count` Gaussians: a multiple of 16, not of 1024.

    Planes a multiple of 4 KiB apart would all fall into the same cache sets.
    """
    capacity = max(16, -(-count // 16) * 16)
    return capacity + 16 if capacity % 1024 == 0 else capacity


def empty_planes(capacity: int) -> Array:
    """Planes of `capacity_for(capacity)` columns that render as nothing: identity rotations, opacity nearly 0."""
    planes: Array = aligned_zeros((ROWS, capacity_for(capacity)))
    planes[QUAT] = 1.0
    planes[OPACITY] = DEAD_LOGIT
    return planes


def to_planes(
    means: Array, log_scales: Array, quats: Array, opacity_logits: Array, sh: Array, capacity: int | None = None
) -> Array:
    """Pack parameter tables into planes.

    means, log_scales (N,3); quats (N,4) wxyz; opacity_logits (N,); sh (N,K,3) with K <= 16 coefficients.
    `capacity` leaves room for growth; the columns from N on render as nothing.
    """
    count = len(means)
    planes = empty_planes(max(count, capacity or 0))
    planes[MEAN : MEAN + 3, :count] = means.T
    planes[LOG_SCALE : LOG_SCALE + 3, :count] = log_scales.T
    planes[QUAT : QUAT + 4, :count] = quats.T
    planes[OPACITY, :count] = opacity_logits
    planes[SH : SH + 3 * sh.shape[1], :count] = sh.reshape(count, -1).T
    return planes


def from_planes(planes: Array, count: int) -> tuple[Array, Array, Array, Array, Array]:
    """Inverse of `to_planes`: means (N,3), log_scales (N,3), quats (N,4), opacity_logits (N,), sh (N,16,3)."""
    columns = planes[:, :count]
    return (
        np.ascontiguousarray(columns[MEAN : MEAN + 3].T),
        np.ascontiguousarray(columns[LOG_SCALE : LOG_SCALE + 3].T),
        np.ascontiguousarray(columns[QUAT : QUAT + 4].T),
        columns[OPACITY].copy(),
        np.ascontiguousarray(columns[SH:].T).reshape(count, SH_COEFFICIENTS, 3),
    )


def spatial_order(means: Array) -> NDArray[np.int64]:
    """Permutation that puts Gaussians near each other in space near each other in memory (Morton order).

    means (N,3).  Reordering the columns of planes and moments by it from time to time makes training about a tenth
    faster, as what one tile reads and writes then shares cache lines and pages.
    """
    if len(means) == 0:
        return np.zeros(0, np.int64)
    low, high = np.percentile(means, (1, 99), axis=0)
    cells = np.clip((means - low) / np.maximum(high - low, 1e-12) * 1023.0, 0, 1023).astype(np.int64)
    code = np.zeros(len(means), np.int64)
    for bit in range(10):
        for axis in range(3):
            code |= ((cells[:, axis] >> bit) & 1) << (3 * bit + axis)
    return np.argsort(code, kind="stable")
