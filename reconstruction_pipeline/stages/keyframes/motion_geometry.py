"""What the movement of points through a picture says of the camera: in flat pictures and in panoramas."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.kernels.parallax import rotation_residuals

Points = npt.NDArray[np.float32]
Array = npt.NDArray[np.float64]
Shape = tuple[int, ...]

# Of a panorama's rows, the part around the horizon that is measured: towards the poles pictures are stretched.
BAND = 2 / 3
# Degrees from corner to corner of the pictures that lengths "of the diagonal" are meant for: phones film so.
DIAGONAL_DEG = 75.0
ROUNDS = 6


def shift_of(before: Points, after: Points) -> float:
    """Median displacement in pixels of points (N, 2); 0 without any."""
    return float(np.median(np.linalg.norm(after - before, axis=1))) if len(before) else 0.0


@dataclass(frozen=True)
class Flat:
    """Pictures through an ordinary lens."""

    def diagonal(self, shape: Shape) -> float:
        """Pixels of the length that motion is a fraction of."""
        return float(np.hypot(shape[0], shape[1]))

    def shift(self, before: Points, after: Points, shape: Shape) -> float:
        """Median displacement, pixels."""
        return shift_of(before, after)

    def progress(self, before: Points, after: Points, shape: Shape) -> float:
        """The part of it that asks for a new keyframe, pixels."""
        return shift_of(before, after)

    def residuals(self, before: Points, after: Points, shape: Shape) -> Array:
        """Median displacement that the best rotations leave, pixels, one a focal length that was tried."""
        return rotation_residuals(before.astype(float), after.astype(float), shape[1], shape[0])


@dataclass(frozen=True)
class AllAround:
    """Panoramas, or a band of theirs along the horizon: every pixel is a known direction, so that turning is told from
    moving without any doubt about the lens; and as everything stays in view, turning asks for no keyframe.
    """

    def diagonal(self, shape: Shape) -> float:
        """Pixels under which an ordinary picture's diagonal would be seen."""
        return shape[1] * DIAGONAL_DEG / 360.0

    def shift(self, before: Points, after: Points, shape: Shape) -> float:
        """Median angle between the directions, in pixels along the horizon."""
        return float(np.median(_angles(_rays(before, shape), _rays(after, shape), shape))) if len(before) else 0.0

    def progress(self, before: Points, after: Points, shape: Shape) -> float:
        """What the best rotation leaves of it, pixels."""
        return float(self.residuals(before, after, shape)[0]) if len(before) >= 3 else 0.0

    def residuals(self, before: Points, after: Points, shape: Shape) -> Array:
        """(1,): the only lens there is."""
        a, b = _rays(before, shape), _rays(after, shape)
        weights = np.ones(len(a))
        left = np.zeros(len(a))
        for _ in range(ROUNDS):
            # Kabsch, reweighted towards the least absolute deviation, as in `kernels.parallax`.
            u, _, vt = np.linalg.svd((b * weights[:, None]).T @ a)
            rotation = u @ np.diag([1.0, 1.0, float(np.sign(np.linalg.det(u @ vt)))]) @ vt
            left = _angles(a @ rotation.T, b, shape)
            weights = 1.0 / np.maximum(left, 0.1)
        return np.array([np.median(left)])


Geometry = Flat | AllAround


def band_of(gray: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The rows of a panorama (H, W) around its horizon."""
    off = round(gray.shape[0] * (1 - BAND) / 2)
    return np.ascontiguousarray(gray[off : gray.shape[0] - off])


def _rays(xy: Points, shape: Shape) -> Array:
    scale = 2 * np.pi / shape[1]
    longitude, latitude = (xy[:, 0] - shape[1] / 2) * scale, (xy[:, 1] - shape[0] / 2) * scale
    level = np.cos(latitude)
    return np.stack([np.sin(longitude) * level, np.sin(latitude), np.cos(longitude) * level], axis=1)


def _angles(a: Array, b: Array, shape: Shape) -> Array:
    """Between unit rows, in pixels along the horizon; by the chord, which is exact for small angles too."""
    return np.asarray(2 * np.arcsin(np.minimum(np.linalg.norm(a - b, axis=1) / 2, 1.0)) * shape[1] / (2 * np.pi))
