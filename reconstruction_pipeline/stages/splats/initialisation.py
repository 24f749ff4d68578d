"""The first Gaussians, from sparse points and, where there are any, dense points with normals."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.artifacts.gaussian_splats import Gaussians
from reconstruction_pipeline.stages.splats.settings import TrainSettings

SH_C0 = 0.28209479177387814
"""The constant spherical harmonic, 1 / (2 sqrt(pi))."""
FLATNESS = 0.3
"""Thickness over radius of a Gaussian whose surface normal is known."""

Array = npt.NDArray[np.float32]


class Points(NamedTuple):
    """`xyz` (N, 3) in any one frame, `rgb` (N, 3) uint8, `normals` (N, 3) unit or None where unknown."""

    xyz: npt.NDArray[np.floating]
    rgb: npt.NDArray[np.uint8]
    normals: npt.NDArray[np.floating] | None = None


def neighbour_distance(xyz: npt.NDArray[np.floating], neighbours: int = 3) -> npt.NDArray[np.float64]:
    """RMS distance (N,) to the nearest others; outliers are capped at ten times the median."""
    from scipy.spatial import cKDTree

    k = min(neighbours, len(xyz) - 1)
    if k < 1:
        return np.full(len(xyz), 0.1)
    distances, _ = cKDTree(xyz).query(xyz, k=k + 1)
    rms = np.sqrt(np.mean(distances[:, 1:] ** 2, axis=1))
    typical = float(np.median(rms))
    return np.clip(rms, max(1e-3 * typical, 1e-7), max(10.0 * typical, 1e-6))


def rotation_to_normal(normals: npt.NDArray[np.floating]) -> Array:
    """Quaternions (N, 4) wxyz that turn the z axis onto each unit normal."""
    n = np.asarray(normals, np.float64)
    w = 1.0 + n[:, 2]
    quats = np.stack([w, -n[:, 1], n[:, 0], np.zeros(len(n))], axis=1)
    quats[w < 1e-6] = (0.0, 1.0, 0.0, 0.0)
    return (quats / np.linalg.norm(quats, axis=1, keepdims=True)).astype(np.float32)


def initial_gaussians(points: Points, settings: TrainSettings) -> Gaussians:
    """One Gaussian a point: sized by its neighbours, coloured as the point, flat along a known normal."""
    n = len(points.xyz)
    sigma = settings.initial_scale * neighbour_distance(points.xyz)
    log_scales = np.repeat(np.log(sigma)[:, None], 3, axis=1)
    quats = np.zeros((n, 4), np.float32)
    quats[:, 0] = 1.0
    if points.normals is not None:
        known = np.linalg.norm(points.normals, axis=1) > 0.5
        quats[known] = rotation_to_normal(points.normals[known])
        log_scales[known, 2] += np.log(FLATNESS)
    sh = np.zeros((n, 16, 3), np.float32)
    sh[:, 0] = (points.rgb.astype(np.float32) / 255.0 - 0.5) / SH_C0
    logit = float(np.log(settings.initial_opacity / (1.0 - settings.initial_opacity)))
    return Gaussians(
        np.ascontiguousarray(points.xyz, np.float32),
        log_scales.astype(np.float32),
        quats,
        np.full(n, logit, np.float32),
        sh,
    )


def merge_points(sparse: Points, dense: Points | None, limit: int, rng: np.random.Generator) -> Points:
    """Sparse points, filled up with dense ones to at most `limit` in all, chosen evenly over space.

    Dense points come in proportion to image area, so many fall on near surfaces; a random choice
    weighted by their distance to the points already there spreads them over what is still empty.
    """
    if dense is None or not len(dense.xyz):
        if len(sparse.xyz) <= limit:
            return sparse
        keep = np.sort(rng.choice(len(sparse.xyz), limit, replace=False))
        return Points(*(None if field is None else field[keep] for field in sparse))  # type: ignore[arg-type]
    from scipy.spatial import cKDTree

    room = max(0, limit - len(sparse.xyz))
    distances, _ = cKDTree(sparse.xyz).query(dense.xyz)
    weight = np.minimum(distances, 3.0 * np.median(distances)) + 1e-12
    count = min(room, len(dense.xyz))
    chosen = np.sort(rng.choice(len(dense.xyz), count, replace=False, p=weight / weight.sum()))
    zeros = np.zeros_like(sparse.xyz)
    normals = np.concatenate(
        [
            zeros if sparse.normals is None else sparse.normals,
            np.zeros((count, 3)) if dense.normals is None else dense.normals[chosen],
        ]
    )
    return Points(
        np.concatenate([sparse.xyz, dense.xyz[chosen]]), np.concatenate([sparse.rgb, dense.rgb[chosen]]), normals
    )
