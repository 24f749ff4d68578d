"""Where a depth map jumps from one surface to another."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

EDGE_JUMP = 0.03
"""A change of the inverse depth's slope by more, relatively, over two pixels is an edge."""


def beside_an_edge(depth: Array) -> npt.NDArray[np.bool_]:
    """Where (H, W) a jump of the depth is about as near as the matching window is wide.

    There the nearer surface grows over the farther one, in all views alike, so that agreement proves
    little. Inverse depth is linear on a plane, however slanted: its second difference shows only jumps.
    """
    import cv2

    inverse = np.pad(1 / np.where(depth > 0, depth, np.inf), 2, mode="reflect", reflect_type="odd")  # straight on
    middle = inverse[2:-2, 2:-2]
    across = np.abs(inverse[2:-2, :-4] + inverse[2:-2, 4:] - 2 * middle)
    down = np.abs(inverse[:-4, 2:-2] + inverse[4:, 2:-2] - 2 * middle)
    jumps = (np.maximum(across, down) > EDGE_JUMP * middle).astype(np.uint8)
    return np.asarray(cv2.dilate(jumps, np.ones((3, 3), np.uint8)) > 0)
