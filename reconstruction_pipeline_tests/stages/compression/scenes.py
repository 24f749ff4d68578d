"""Small synthetic splat scenes."""

from __future__ import annotations

import numpy as np

from reconstruction_pipeline.artifacts.gaussian_splats import Gaussians


def random_scene(count: int = 2000, degree: int = 3, seed: int = 0) -> Gaussians:
    """Gaussians in a few clusters with flat shapes, varied opacity and clustered view-dependent colour."""
    rng = np.random.default_rng(seed)
    centers = rng.normal(size=(8, 3)) * (2.0, 1.0, 3.0)
    quats = rng.normal(size=(count, 4))
    sh = np.zeros((count, 16, 3), np.float32)
    sh[:, 0] = rng.normal(size=(count, 3))
    rest = (degree + 1) ** 2 - 1
    kinds = rng.normal(size=(40, rest, 3)) * 0.15
    sh[:, 1 : 1 + rest] = kinds[rng.integers(0, 40, count)] + rng.normal(size=(count, rest, 3)) * 0.02
    return Gaussians(
        (centers[rng.integers(0, 8, count)] + rng.normal(size=(count, 3)) * 0.4).astype(np.float32),
        (rng.normal(size=(count, 3)) * 0.7 - (3.0, 3.0, 5.0)).astype(np.float32),
        (quats / np.linalg.norm(quats, axis=1, keepdims=True)).astype(np.float32),
        rng.normal(size=count).astype(np.float32) * 2.0,
        sh,
    )


def match(a: Gaussians, b: Gaussians) -> np.ndarray:
    """Rows of `b` that lie nearest to the rows of `a`; formats may reorder."""
    from scipy.spatial import cKDTree

    return cKDTree(b.means).query(a.means)[1]
