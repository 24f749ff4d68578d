"""Black bars around the picture, as editors and apps add them to fit another shape.

They stand still while the scene moves, so that no geometry explains them: they are cut off. Only what is equal on
opposite sides is, which keeps the lens's centre in the middle.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

# Grey levels up to which a bar counts as black; compression adds a few.
BLACK = 20
# Parts of a side: thinner bars are edges of encoders, wider ones are dark scenes.
THINNEST = 0.015
WIDEST = 0.4
# The edge of a bar is blurred by a pixel of the small pictures it is measured on.
SOFT_EDGE = 1

Borders = tuple[int, int, int, int]


def black_borders(gray: npt.NDArray[np.uint8]) -> Borders:
    """Black columns at (left, right) and black rows at (top, bottom) of (H, W) grey."""
    columns, rows = gray.max(axis=0) > BLACK, gray.max(axis=1) > BLACK
    if not columns.any():
        return gray.shape[1], gray.shape[1], gray.shape[0], gray.shape[0]
    left, right = int(columns.argmax()), int(columns[::-1].argmax())
    return left, right, int(rows.argmax()), int(rows[::-1].argmax())


def common_bars(borders: Sequence[Borders], shape: tuple[int, int]) -> tuple[float, float]:
    """(part of the width to cut at the left and at the right, part of the height at the top and at the bottom) that are
    black in every one of the frames; `shape` is (H, W) of what `black_borders` saw. Zeros where there are no bars.
    """
    if not borders:
        return 0.0, 0.0
    left, right, top, bottom = np.array(borders).min(axis=0).tolist()
    height, width = shape
    return _cut(min(left, right), width), _cut(min(top, bottom), height)


def _cut(black: int, side: int) -> float:
    share = (black + SOFT_EDGE) / side
    return share if black / side > THINNEST and share < WIDEST else 0.0
