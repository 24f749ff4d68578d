"""Changes to a scene on its way into another file; all pure."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.artifacts.errors import UsageError
from reconstruction_pipeline.artifacts.gaussian_splats import Gaussians
from reconstruction_pipeline.artifacts.harmonics import rotate_harmonics
from reconstruction_pipeline.artifacts.ply import SH_COEFFICIENTS
from reconstruction_pipeline.stages.compression.codecs.importance import opacity_area

Vector = tuple[float, float, float]


def limit_harmonics(gaussians: Gaussians, degree: int) -> Gaussians:
    """Without spherical harmonics above `degree` (0..3)."""
    if degree not in SH_COEFFICIENTS:
        raise UsageError(f"--sh {degree}: give a spherical-harmonics degree from 0 to 3.")
    sh = gaussians.sh.copy()
    sh[:, SH_COEFFICIENTS[degree] :] = 0.0
    return Gaussians(gaussians.means, gaussians.log_scales, gaussians.quats, gaussians.opacity_logits, sh)


def keep_most_visible(gaussians: Gaussians, count: int) -> Gaussians:
    """The `count` Gaussians with the largest opacity times area, in their old order."""
    if count < 1:
        raise UsageError(f"--max-splats {count}: give a number of at least 1.")
    if gaussians.count <= count:
        return gaussians
    kept = np.argsort(-opacity_area(gaussians), kind="stable")[:count]
    return gaussians.take(np.sort(kept))


def crop(gaussians: Gaussians, low: Vector, high: Vector) -> Gaussians:
    """The Gaussians whose centres are inside the box from `low` to `high` (world units, bounds included)."""
    if not all(a < b for a, b in zip(low, high, strict=True)):
        raise UsageError(f"--crop {low} {high}: each lower bound must be below its upper bound.")
    inside = np.all((gaussians.means >= np.array(low)) & (gaussians.means <= np.array(high)), axis=1)
    if not inside.any():
        raise UsageError(f"--crop {low} {high}: no splat is inside; the scene spans {_span(gaussians)}.")
    return gaussians.take(inside)


def rotate(gaussians: Gaussians, degrees: Vector) -> Gaussians:
    """Turn the scene about the world's x, then y, then z axis (right-handed): centres, shapes and colours."""
    if not np.isfinite(degrees).all():
        raise UsageError(f"--rotate {degrees}: give three finite angles in degrees.")
    return turn(gaussians, euler(degrees))


def turn(gaussians: Gaussians, rotation: npt.NDArray[np.float64]) -> Gaussians:
    """Turn the scene by a rotation matrix (3, 3): x' = rotation @ x."""
    from scipy.spatial.transform import Rotation

    quaternions = Rotation.from_matrix(rotation) * Rotation.from_quat(gaussians.quats, scalar_first=True)
    return Gaussians(
        (gaussians.means @ rotation.T).astype(np.float32),
        gaussians.log_scales,
        quaternions.as_quat(scalar_first=True).astype(np.float32),
        gaussians.opacity_logits,
        rotate_harmonics(gaussians.sh, rotation),
    )


def euler(degrees: Vector) -> npt.NDArray[np.float64]:
    """Rotation about fixed axes: x first, then y, then z."""
    from scipy.spatial.transform import Rotation

    return np.asarray(Rotation.from_euler("xyz", degrees, degrees=True).as_matrix())


def _span(gaussians: Gaussians) -> str:
    low, high = gaussians.means.min(axis=0), gaussians.means.max(axis=0)
    return f"{tuple(np.round(low.astype(float), 3))} to {tuple(np.round(high.astype(float), 3))}"
