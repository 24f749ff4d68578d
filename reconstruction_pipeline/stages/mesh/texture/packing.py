"""Rectangles into a square that is no larger than it needs to be."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
LARGEST = 4096
STEP = 64


def pack(sizes: Ints, width: int) -> tuple[Ints, int]:
    """((N, 2) left and top, height): rectangles `sizes` (N, 2) of width and height in shelves, highest first.

    No rectangle may be wider than `width`.
    """
    place = np.zeros_like(sizes)
    left, top, shelf = 0, 0, 0
    for i in np.lexsort((-sizes[:, 0], -sizes[:, 1])):
        w, h = sizes[i]
        if left + w > width:
            left, top, shelf = 0, top + shelf, 0
        place[i] = left, top
        left, shelf = left + w, max(shelf, h)
    return place, int(top + shelf)


def side_for(sizes: Ints) -> int:
    """The side of a square, a multiple of 64 pixels, that holds the rectangles; it may be larger than allowed."""
    side = max(int(sizes.max()), int(np.sqrt(sizes.prod(axis=1).sum())))
    side = -(-side // STEP) * STEP
    while pack(sizes, side)[1] > side:
        side += STEP
    return side
