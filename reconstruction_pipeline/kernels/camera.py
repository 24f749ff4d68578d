"""The pinhole camera that the rasteriser renders from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class PinholeView:
    """A world-to-camera pose and pinhole intrinsics, in COLMAP's conventions.

    rotation (3,3) and translation (3,): `x_camera = rotation @ x_world + translation`; x right, y down, z forward.
    fx, fy, cx, cy in pixels, pixel centres at half integers (the first is 0.5, 0.5). width, height in pixels.
    """

    rotation: NDArray[np.floating]
    translation: NDArray[np.floating]
    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int

    def __post_init__(self) -> None:
        if np.shape(self.rotation) != (3, 3) or np.shape(self.translation) != (3,):
            raise ValueError("A view needs a rotation of shape (3, 3) and a translation of shape (3,).")
        if self.width < 1 or self.height < 1 or not (self.fx > 0 and self.fy > 0):
            raise ValueError("A view needs a positive width, height and focal length.")

    @property
    def center(self) -> NDArray[np.float64]:
        """Camera centre in the world, (3,)."""
        return np.asarray(-np.asarray(self.rotation, np.float64).T @ np.asarray(self.translation, np.float64))

    def scaled(self, width: int, height: int) -> PinholeView:
        """The same camera with its picture resampled to width x height."""
        sx, sy = width / self.width, height / self.height
        return PinholeView(
            self.rotation, self.translation, self.fx * sx, self.fy * sy, self.cx * sx, self.cy * sy, width, height
        )
