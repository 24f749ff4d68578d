"""Quantising view-dependent colour by what is seen of it.

A splat is seen from a few directions, not from all. Over those, most of what a palette entry gets wrong is
nearly constant, and a constant belongs to the base colour, which SOG stores per splat: so the error's mean
over the captured directions is moved there, and the palette is fitted in the metric of what remains. The
files of 3DGS viewers stay what they are; only better numbers are in them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.artifacts.harmonics import basis
from reconstruction_pipeline.artifacts.views import spread
from reconstruction_pipeline.kernels.camera import PinholeView

SH_0 = 0.28209479177387814
VIEWS = 16
"""Most views that are looked at."""
MARGIN = 0.1
"""Splats this share of the picture outside its border still reach into it."""
FLOOR = 0.02
"""Share of the mean variance that every direction of the metric keeps: unseen sides must not become arbitrary."""


@dataclass(frozen=True)
class Viewing:
    """`mean` (N, K): each splat's mean SH basis (degrees 1..3) over the views that see it, zero where none does.

    `root` (K, K): for a coefficient row x, |x @ root|^2 is the expected squared colour error of x over the
    captured directions once its mean is corrected, averaged over splats.
    """

    mean: npt.NDArray[np.float32]
    root: npt.NDArray[np.float32]


def from_everywhere(count: int, coefficients: int) -> Viewing:
    """For scenes whose cameras are not known: all directions alike, nothing to correct."""
    return Viewing(np.zeros((count, coefficients), np.float32), np.eye(coefficients, dtype=np.float32))


def from_views(
    means: npt.NDArray[np.float32],
    weights: npt.NDArray[np.floating],
    views: Sequence[PinholeView],
    coefficients: int,
) -> Viewing:
    """Statistics of the directions from which `views` see the splats at `means` (N, 3), weighted by `weights` (N,)."""
    chosen = spread(views, VIEWS)
    masks = [_in_picture(means, view) for view in chosen]
    seen = np.maximum(np.sum(masks, axis=0), 1)
    share = weights / seen
    total, square = np.zeros((len(means), coefficients)), np.zeros((coefficients, coefficients))
    for view, mask in zip(chosen, masks, strict=True):
        values = _basis(means[mask], view, coefficients)
        total[mask] += values
        square += (values * share[mask, None]).T @ values
    mean = total / seen[:, None]
    # The variance about each splat's own mean, summed over splats.
    covariance = square - (mean * weights[:, None]).T @ mean
    covariance /= max(float(weights.sum()), 1e-12)
    covariance += np.eye(coefficients) * (FLOOR * np.trace(covariance) / coefficients + 1e-9)
    return Viewing(mean.astype(np.float32), np.linalg.cholesky(covariance).astype(np.float32))


def correction(viewing: Viewing, error: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """What to add to the base coefficients (N, 3) for coefficients that are too small by `error` (N, K, 3)."""
    return (np.einsum("nk,nkc->nc", viewing.mean, error) / SH_0).astype(np.float32)


def _in_picture(means: npt.NDArray[np.float32], view: PinholeView) -> npt.NDArray[np.bool_]:
    """(N,) whether splats are in the picture or close to it."""
    local = means @ np.asarray(view.rotation, np.float32).T + np.asarray(view.translation, np.float32)
    z = np.maximum(local[:, 2], 1e-9)
    x, y = local[:, 0] / z * view.fx + view.cx, local[:, 1] / z * view.fy + view.cy
    dx, dy = MARGIN * view.width, MARGIN * view.height
    inside = (x > -dx) & (x < view.width + dx) & (y > -dy) & (y < view.height + dy)
    return np.asarray(inside & (local[:, 2] > 0))


def _basis(means: npt.NDArray[np.float32], view: PinholeView, coefficients: int) -> npt.NDArray[np.float64]:
    """SH basis (N, K) of the directions from the camera to each splat."""
    offset = means - np.asarray(view.center, np.float64)
    directions = offset / np.maximum(np.linalg.norm(offset, axis=1, keepdims=True), 1e-12)
    return basis(directions)[:, 1 : 1 + coefficients]
