"""Orders of splats that put neighbours in space beside each other in a picture, so that it compresses."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def morton_order(grid: npt.NDArray[np.integer]) -> npt.NDArray[np.intp]:
    """(N,) stable order along the 3-D Z-curve (Morton 1966) of `grid` (N, 3), integers of at most 16 bits."""
    code = np.zeros(len(grid), np.uint64)
    for axis in range(3):
        code |= _spread(grid[:, axis].astype(np.uint64)) << np.uint64(axis)
    return np.argsort(code, kind="stable")


def _spread(value: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Two zero bits between any two bits of a 16-bit number."""
    for shift, mask in (
        (32, 0x1F00000000FFFF),
        (16, 0x1F0000FF0000FF),
        (8, 0x100F00F00F00F00F),
        (4, 0x10C30C30C30C30C3),
        (2, 0x1249249249249249),
    ):
        value = (value | (value << np.uint64(shift))) & np.uint64(mask)
    return value
