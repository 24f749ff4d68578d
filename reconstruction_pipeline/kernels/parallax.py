"""Did the camera move, or only turn? Asked of tracked points, before any structure from motion."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

# Focal lengths tried, relative to the longest side; phones lie near 0.8 (video) to 1.2.
FOCALS = np.array([0.6, 0.75, 0.9, 1.1, 1.35, 1.8, 2.5])


def rotation_residuals(before: Array, after: Array, width: int, height: int) -> Array:
    """Median pixel residual of the best pure rotation that takes `before` to `after`, for each of FOCALS.

    `before`, `after`: (N, 2) pixels of the same points in two frames of (height, width). A camera that
    turns in place leaves noise only, whatever the scene; planes do not fool this as they fool a homography.
    """
    center = np.array([width / 2, height / 2])
    return np.array([_rotation_residual(before - center, after - center, f * max(width, height)) for f in FOCALS])


def _rotation_residual(before: Array, after: Array, focal: float) -> float:
    a, b = _rays(before, focal), _rays(after, focal)
    weights = np.ones(len(a))
    residual = np.zeros(len(a))
    for _ in range(6):
        # Kabsch, reweighted towards the least absolute deviation so that moving objects count little.
        u, _, vt = np.linalg.svd((b * weights[:, None]).T @ a)
        rotation = u @ np.diag([1.0, 1.0, float(np.sign(np.linalg.det(u @ vt)))]) @ vt
        turned = a @ rotation.T
        residual = np.linalg.norm(turned[:, :2] / turned[:, 2:] * focal - after, axis=1)
        weights = 1.0 / np.maximum(residual, 0.1)
    return float(np.median(residual))


def _rays(xy: Array, focal: float) -> Array:
    rays = np.column_stack([xy / focal, np.ones(len(xy))])
    return rays / np.linalg.norm(rays, axis=1, keepdims=True)


def parallax_ratio(residuals: list[Array], motions: list[float]) -> float | None:
    """Residual left by pure rotations over the motion itself, with one focal length for all pairs.

    `residuals`: one row of `rotation_residuals` a pair; `motions`: the median displacement of each, pixels.
    None without pairs.
    """
    if not residuals:
        return None
    ratios = np.array(residuals) / np.maximum(np.array(motions)[:, None], 1e-6)
    return float(np.median(ratios, axis=0).min())
