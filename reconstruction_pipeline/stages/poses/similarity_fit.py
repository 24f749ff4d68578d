"""The similarity that takes an upright scene to measured positions, with outliers and gravity in mind."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.stages.poses.geometry import Similarity

Array = npt.NDArray[np.float64]

# Deviations from which on a position counts as an outlier.
OUTLIER = 3.0
# Where nothing is known of the height, it stays near zero, loosely.
NO_HEIGHT_M = 100.0


@dataclass(frozen=True)
class Fit:
    """`similarity` maps the upright scene to the measurements' frame; `residuals` (N, 3) are measured minus mapped
    positions (0 in y where no height was measured); `inliers` (N,) bool.
    """

    similarity: Similarity
    residuals: Array
    inliers: npt.NDArray[np.bool_]


def fit_similarity(
    centers: Array,
    measured: Array,
    sigma: Array,
    tilt_deg: float,
    scale: float | None = None,
    hypotheses: int = 400,
) -> Fit | None:
    """Fit upright, y-down `centers` (N, 3) to `measured` (N, 3) metres in an y-down frame; None when nothing agrees.

    `sigma` (N,) are horizontal deviations, heights count half as much; a height of NaN is not known. The scene's
    gravity is known to about `tilt_deg`, so that positions along a line suffice. With `scale` given, it is kept.
    Hypotheses of two positions each (heading, scale, place; RANSAC of Fischler and Bolles, 1981) give the start,
    and Huber's loss (1964) with gravity as a prior the result.
    """
    start = _consensus(centers, measured, sigma, scale, hypotheses)
    if start is None:
        return None
    from scipy.optimize import least_squares
    from scipy.spatial.transform import Rotation

    known = np.isfinite(measured[:, 1])
    target = np.where(np.isfinite(measured), measured, 0.0)
    weight = 1.0 / np.column_stack([sigma, np.where(known, 2.0 * sigma, NO_HEIGHT_M), sigma])
    middle = centers.mean(axis=0)

    def mapped(x: Array) -> Array:
        size = np.exp(x[6]) if scale is None else scale
        return np.asarray(size * Rotation.from_rotvec(x[:3]).apply(centers - middle) + x[3:6])

    def cost(x: Array) -> Array:
        tilted = Rotation.from_rotvec(x[:3]).apply([0.0, 1.0, 0.0])
        return np.concatenate([((mapped(x) - target) * weight).ravel(), tilted[[0, 2]] / np.radians(tilt_deg)])

    size, heading, shift = start
    turn = Rotation.from_rotvec([0.0, heading, 0.0])
    place = size * turn.apply(middle) + shift
    place[1] = float(np.median((target[:, 1] - size * (centers - middle)[:, 1])[known])) if known.any() else 0.0
    found = least_squares(cost, np.array([0.0, heading, 0.0, *place, np.log(size)]), loss="huber", f_scale=1.5)
    size = float(np.exp(found.x[6])) if scale is None else scale
    rotation = Rotation.from_rotvec(found.x[:3]).as_matrix()
    similarity = Similarity(size, rotation, found.x[3:6] - size * rotation @ middle)
    residuals = np.where(np.isfinite(measured), target - similarity.points(centers), 0.0)
    inliers = np.linalg.norm(residuals[:, [0, 2]], axis=1) < OUTLIER * sigma
    return Fit(similarity, residuals, inliers)


def _consensus(
    centers: Array, measured: Array, sigma: Array, scale: float | None, hypotheses: int
) -> tuple[float, float, Array] | None:
    """(scale, rotation about y in radians, (3,) shift without height) that most positions agree with."""
    # On the ground a similarity is multiplication and addition of complex numbers: right + i forward.
    ours, theirs = centers[:, 0] + 1j * centers[:, 2], measured[:, 0] + 1j * measured[:, 2]
    rng = np.random.default_rng(0)
    pairs = rng.integers(0, len(ours), (hypotheses, 2))
    apart = np.abs(ours[pairs[:, 1]] - ours[pairs[:, 0]])
    pairs = pairs[(apart > 0.2 * apart.max()) & (np.abs(theirs[pairs[:, 1]] - theirs[pairs[:, 0]]) > 0)]
    best: tuple[float, complex, complex] | None = None
    for a, b in pairs:
        factor = (theirs[b] - theirs[a]) / (ours[b] - ours[a])
        if scale is not None:
            factor *= scale / abs(factor)
        shift = (theirs[a] + theirs[b] - factor * (ours[a] + ours[b])) / 2
        away = np.abs(factor * ours + shift - theirs) / sigma
        # Truncated squares rather than a count: hypotheses differ within the inliers too (MSAC).
        cost = float(np.minimum(away**2, OUTLIER**2).sum())
        if best is None or cost < best[0]:
            best = cost, factor, shift
    if best is None:
        return None
    _, factor, shift = best
    # A rotation by theta about y (down) takes x to x cos + z sin and z to -x sin + z cos: minus the complex angle.
    return abs(factor), -float(np.angle(factor)), np.array([shift.real, 0.0, shift.imag])
