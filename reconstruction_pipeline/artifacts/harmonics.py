"""Turning view-dependent colour with the scene: rotation of spherical-harmonics coefficients."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

BANDS = {1: slice(1, 4), 2: slice(4, 9), 3: slice(9, 16)}


def basis(directions: Array) -> Array:
    """(M, 16) real spherical harmonics of unit `directions` (M, 3), in the order and signs of 3DGS files."""
    x, y, z = directions.T
    xx, yy, zz = x * x, y * y, z * z
    return np.stack(
        [
            np.full_like(x, 0.28209479177387814),
            -0.4886025119029199 * y,
            0.4886025119029199 * z,
            -0.4886025119029199 * x,
            1.0925484305920792 * x * y,
            -1.0925484305920792 * y * z,
            0.31539156525252005 * (2 * zz - xx - yy),
            -1.0925484305920792 * x * z,
            0.5462742152960396 * (xx - yy),
            -0.5900435899266435 * y * (3 * xx - yy),
            2.890611442640554 * x * y * z,
            -0.4570457994644658 * y * (4 * zz - xx - yy),
            0.3731763325901154 * z * (2 * zz - 3 * xx - 3 * yy),
            -0.4570457994644658 * x * (4 * zz - xx - yy),
            1.445305721320277 * z * (xx - yy),
            -0.5900435899266435 * x * (xx - 3 * yy),
        ],
        axis=1,
    )


def band_rotations(rotation: Array) -> dict[int, Array]:
    """Matrices D_l, (2l+1, 2l+1) for l = 1..3: coefficients of the scene turned by `rotation` are D_l @ c.

    A turned scene has the colour f(R^T d) in direction d. Rotations keep each band to itself, so the matrix
    follows exactly from the basis at a few directions in general position (least squares with no residual).
    """
    index = np.arange(32) + 0.5
    height, angle = 1.0 - 2.0 * index / 32, np.pi * (1.0 + 5.0**0.5) * index
    radius = np.sqrt(1.0 - height**2)
    directions = np.stack([radius * np.cos(angle), radius * np.sin(angle), height], axis=1)  # Fibonacci sphere
    here, there = basis(directions), basis(directions @ rotation)
    return {band: np.asarray(np.linalg.pinv(here[:, s]) @ there[:, s]) for band, s in BANDS.items()}


def rotate_harmonics(sh: npt.NDArray[np.float32], rotation: Array) -> npt.NDArray[np.float32]:
    """(N, 16, 3) coefficients of the same Gaussians in a scene turned by `rotation` (3, 3)."""
    turned = sh.copy()
    for band, matrix in band_rotations(rotation).items():
        turned[:, BANDS[band]] = np.einsum("kj,njc->nkc", matrix.astype(np.float32), sh[:, BANDS[band]])
    return turned
