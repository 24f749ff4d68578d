"""Scale and shift of a relative depth map against sparse points, in inverse depth, despite outliers.

What such networks give is inverse depth up to an affine map (Ranftl et al., "Towards robust monocular depth
estimation", TPAMI 2022). Two unknowns are found from random pairs of points by the least median of residuals
(Rousseeuw, "Least median of squares regression", 1984) and refined by reweighted least squares with Tukey's weights.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]

PAIRS = 300
"""Random pairs tried: with half of the points wrong, one in four is good."""
ROUNDS = 10
TUKEY = 4.685
"""Tukey's constant, in standard deviations."""
BETTER_THAN_FLAT = 0.6
"""The error must be below this share of that of one depth for the whole image: any map fits a flat scene."""


class Alignment(NamedTuple):
    """inverse depth = `scale` * predicted + `shift`; `residual`: median relative error of the depth at the points.

    `inliers`: points met within the limit; `refusal`: why it must not be used, empty where it may.
    """

    scale: float
    shift: float
    residual: float
    inliers: int
    refusal: str = ""


def is_distance(predicted: Doubles, depth: Doubles) -> bool:
    """Whether what was predicted (M,) grows with the depth (M,), by ranks: a metric model, not an inverse one."""
    ranks = [np.argsort(np.argsort(values)) for values in (predicted, depth)]
    return len(depth) > 2 and float(np.corrcoef(ranks[0], ranks[1])[0, 1]) > 0


def align(predicted: Doubles, depth: Doubles, limit: float, min_inliers: int) -> Alignment:
    """Fit `predicted` (M,), larger is nearer, to points at z `depth` (M,) > 0 in world units.

    Refused where the median relative error exceeds `limit`, fewer than `min_inliers` points are met within
    `limit`, nearer is not larger, or one depth for all points would do nearly as well. The same input gives the
    same result.
    """
    finite = np.isfinite(predicted)
    x, z = predicted[finite], depth[finite]
    if len(x) < min_inliers:
        return Alignment(0.0, 0.0, float("inf"), 0, f"only {len(x)} sparse points")
    y = 1 / z
    start = _from_pairs(x, y)
    if start is None:
        return Alignment(0.0, 0.0, float("inf"), 0, "nearer is not larger in it")
    scale, shift = _refined(x, y, *start)
    relative = np.abs((scale * x + shift) * z - 1)
    residual, inliers = float(np.median(relative)), int(np.count_nonzero(relative < limit))
    if scale <= 0:
        return Alignment(scale, shift, residual, inliers, "nearer is not larger in it")
    if residual > limit:
        return Alignment(scale, shift, residual, inliers, f"it misses the sparse points by {100 * residual:.0f} %")
    if residual > BETTER_THAN_FLAT * float(np.median(np.abs(np.median(y) * z - 1))):
        return Alignment(scale, shift, residual, inliers, "it says little about these points' depth")
    if inliers < min_inliers:
        return Alignment(scale, shift, residual, inliers, f"only {inliers} sparse points fit")
    return Alignment(scale, shift, residual, inliers)


def _from_pairs(x: Doubles, y: Doubles) -> tuple[float, float] | None:
    """The line through one of PAIRS random pairs that has the least median residual; None if none rises."""
    first, second = np.random.default_rng(0).integers(0, len(x), (2, PAIRS))
    run = x[second] - x[first]
    apart = np.abs(run) > 1e-9 * max(float(np.ptp(x)), 1e-30)
    scale = (y[second] - y[first])[apart] / run[apart]
    shift = y[first][apart] - scale * x[first][apart]
    rising = scale > 0
    if not rising.any():
        return None
    scale, shift = scale[rising], shift[rising]
    medians = np.median(np.abs(scale[:, None] * x + shift[:, None] - y), axis=1)
    best = int(np.argmin(medians))
    return float(scale[best]), float(shift[best])


def _refined(x: Doubles, y: Doubles, scale: float, shift: float) -> tuple[float, float]:
    """Reweighted least squares from a first line."""
    for _ in range(ROUNDS):
        error = scale * x + shift - y
        spread = max(1.4826 * float(np.median(np.abs(error))), 1e-9 * float(np.median(y)))
        weight = np.clip(1 - (error / (TUKEY * spread)) ** 2, 0, None) ** 2
        total = weight.sum()
        mean_x, mean_y = float(weight @ x / total), float(weight @ y / total)
        variance = float(weight @ (x - mean_x) ** 2)
        if variance <= 0:
            break
        scale = float(weight @ ((x - mean_x) * (y - mean_y))) / variance
        shift = mean_y - scale * mean_x
    return scale, shift
