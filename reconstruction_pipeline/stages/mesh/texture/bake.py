"""Values at the corners of triangles spread over their texels."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

_SETTINGS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "cache": True}


def paint_corrections(
    image: npt.NDArray[np.uint8], texels: npt.NDArray[np.float64], corners: npt.NDArray[np.int32],
    correction: npt.NDArray[np.float64], reach: int,
) -> None:  # fmt: skip
    """Add to `image` (S, S, 3), in place, the corrections (U, 3) of corners at `texels` (U, 2), linear on triangles.

    Texels up to `reach` beyond a triangle take the correction of the nearest texel inside one.
    """
    import cv2

    spread = np.zeros(image.shape, np.float32)
    inside = np.zeros(image.shape[:2], np.uint8)
    _fill(texels, corners, correction.astype(np.float32), spread, inside)
    if not inside.any():
        return
    distance, nearest = cv2.distanceTransformWithLabels(
        1 - inside, cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    # OpenCV numbers the texels inside from 1, in its own order.
    source = np.zeros(int(nearest.max()) + 1, np.int64)
    flat = np.flatnonzero(inside)
    source[nearest.ravel()[flat]] = flat
    close = np.flatnonzero(distance.ravel() <= reach)
    values = spread.reshape(-1, 3)[source[nearest.ravel()[close]]]
    texture = image.reshape(-1, 3)
    texture[close] = np.clip(np.rint(texture[close] + values), 0, 255).astype(np.uint8)


@njit(**_SETTINGS)
def _fill(texels, corners, values, spread, inside):  # type: ignore[no-untyped-def]
    side = inside.shape[0]
    for f in range(corners.shape[0]):
        a, b, c = corners[f, 0], corners[f, 1], corners[f, 2]
        xa, ya, xb, yb, xc, yc = texels[a, 0], texels[a, 1], texels[b, 0], texels[b, 1], texels[c, 0], texels[c, 1]
        area = (xb - xa) * (yc - ya) - (xc - xa) * (yb - ya)
        left, right = max(int(min(xa, min(xb, xc))), 0), min(int(max(xa, max(xb, xc))), side - 1)
        top, bottom = max(int(min(ya, min(yb, yc))), 0), min(int(max(ya, max(yb, yc))), side - 1)
        if area == 0.0:
            continue
        for y in range(top, bottom + 1):
            for x in range(left, right + 1):
                px, py = x + 0.5, y + 0.5
                wa = ((xb - px) * (yc - py) - (xc - px) * (yb - py)) / area
                wb = ((xc - px) * (ya - py) - (xa - px) * (yc - py)) / area
                wc = 1.0 - wa - wb
                if wa < 0.0 or wb < 0.0 or wc < 0.0:
                    continue
                inside[y, x] = 1
                for k in range(3):
                    spread[y, x, k] = wa * values[a, k] + wb * values[b, k] + wc * values[c, k]
