"""Gaussians as a mixture, of which two can become one with the same moments.

The weight of a splat is its opacity times its area, which is what it covers in pictures from afar. Merging two keeps
the weight, its centre and its covariance (moment matching, as in Gaussian mixture reduction: Runnalls 2007,
"Kullback-Leibler approach to Gaussian mixture reduction") and the mean colour in every direction.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.artifacts.gaussian_splats import Gaussians
from reconstruction_pipeline.stages.compression.codecs.importance import sigmoid
from reconstruction_pipeline.stages.compression.codecs.quantise import blocks, unit_quaternions

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]

ROUND = 1e-3
"""A sigma is at least this share of the largest one of its splat, so that covariances stay well conditioned."""
OPAQUE = 1.0 - 1e-4


@dataclass(frozen=True, eq=False)
class Mixture:
    """`scene` as it was, and its moments, which hold also after merging; all with N rows.

    `means` (N, 3); `covariances` (N, 6): xx, xy, xz, yy, yz, zz in world units squared; `opacities` (N,) in 0..1;
    `merged` (N,): sizes, rotation, centre and opacity in `scene` are out of date; `errors` (N,): what the mergings
    that made a splat have changed, in the unit of `pairs.costs`.
    """

    scene: Gaussians
    means: Floats
    covariances: Floats
    opacities: Floats
    merged: npt.NDArray[np.bool_]
    errors: Floats

    @classmethod
    def of(cls, scene: Gaussians) -> Mixture:
        """The moments of every splat."""
        covariances = np.empty((scene.count, 6))
        for rows in blocks(scene.count):
            covariances[rows] = _covariances(scene.log_scales[rows], scene.quats[rows])
        merged = np.zeros(scene.count, bool)
        return cls(
            scene,
            scene.means.astype(np.float64),
            covariances,
            sigmoid(scene.opacity_logits),
            merged,
            np.zeros(scene.count),
        )

    @property
    def count(self) -> int:
        """Number of splats."""
        return len(self.means)

    def weights(self) -> Floats:
        """(N,) opacity times area."""
        return self.opacities * areas(self.covariances)

    def joined(self, first: Rows, second: Rows, errors: Floats) -> tuple[Mixture, Rows]:
        """Every pair as one splat in the row of its first; also the rows (M,) that stay, in order.

        `errors` (P,) are what the new splats then differ by. No row may occur twice among the pairs.
        """
        pooled = pool(self.means, self.covariances, self.weights(), first, second)
        area = np.maximum(areas(pooled.covariances), 1e-300)
        # What both cover, spread over the new area; where they overlap, no more than both let through together.
        through = (1.0 - self.opacities[first]) * (1.0 - self.opacities[second])
        opacities = self.opacities.copy()
        opacities[first] = np.minimum(np.minimum(pooled.weights / area, 1.0 - through), OPAQUE)
        means, covariances, merged = self.means.copy(), self.covariances.copy(), self.merged.copy()
        means[first], covariances[first], merged[first] = pooled.means, pooled.covariances, True
        changed = self.errors.copy()
        changed[first] = errors
        share = pooled.share.astype(np.float32)[:, None, None]
        sh = self.scene.sh.copy()
        sh[first] = share * sh[first] + (1.0 - share) * sh[second]
        stays = np.ones(self.count, bool)
        stays[second] = False
        kept = np.flatnonzero(stays)
        old = self.scene
        scene = Gaussians(old.means, old.log_scales, old.quats, old.opacity_logits, sh).take(kept)
        return Mixture(scene, means[kept], covariances[kept], opacities[kept], merged[kept], changed[kept]), kept

    def gaussians(self) -> Gaussians:
        """The scene; splats that were never merged keep their very numbers."""
        from scipy.spatial.transform import Rotation

        scene, rows = self.scene, np.flatnonzero(self.merged)
        means, logits = scene.means.copy(), scene.opacity_logits.copy()
        log_scales, quats = scene.log_scales.copy(), scene.quats.copy()
        means[rows] = self.means[rows]
        opacities = np.clip(self.opacities[rows], 1e-6, OPAQUE)
        logits[rows] = np.log(opacities / (1.0 - opacities))
        for block in blocks(len(rows)):
            at = rows[block]
            variances, axes = np.linalg.eigh(self.covariances[at][:, [0, 1, 2, 1, 3, 4, 2, 4, 5]].reshape(-1, 3, 3))
            axes[np.linalg.det(axes) < 0, :, 0] *= -1.0  # eigenvectors may be a mirror image
            variances = np.maximum(variances, ROUND**2 * variances[:, -1:])
            log_scales[at] = 0.5 * np.log(np.maximum(variances, 1e-30))
            quats[at] = Rotation.from_matrix(axes).as_quat(scalar_first=True)
        return Gaussians(means, log_scales, quats, logits, scene.sh)


@dataclass(frozen=True, eq=False)
class Pooled:
    """The moments of pairs: `weights` (P,), the first's `share` of them (P,), `means` (P, 3), `covariances` (P, 6)."""

    weights: Floats
    share: Floats
    means: Floats
    covariances: Floats


def pool(means: Floats, covariances: Floats, weights: Floats, first: Rows, second: Rows) -> Pooled:
    """What pairs of rows are together."""
    total = np.maximum(weights[first] + weights[second], 1e-300)
    share = weights[first] / total
    apart = means[second] - means[first]
    x, y, z = apart.T
    spread = np.stack([x * x, x * y, x * z, y * y, y * z, z * z], axis=1)
    column = share[:, None]
    mixed = column * covariances[first] + (1.0 - column) * covariances[second] + column * (1.0 - column) * spread
    return Pooled(total, share, means[first] + (1.0 - column) * apart, mixed)


def areas(covariances: Floats) -> Floats:
    """(N,) a splat's mean cross-section without its constant: the root mean square of the products of two sigmas."""
    xx, xy, xz, yy, yz, zz = covariances.T
    minors = (xx * yy - xy * xy) + (xx * zz - xz * xz) + (yy * zz - yz * yz)
    result: Floats = np.sqrt(np.maximum(minors, 0.0) / 3.0)
    return result


def _covariances(log_scales: npt.NDArray[np.float32], quats: npt.NDArray[np.float32]) -> Floats:
    from scipy.spatial.transform import Rotation

    sigmas = np.exp(np.clip(log_scales.astype(np.float64), -40.0, 40.0))
    sigmas = np.maximum(sigmas, ROUND * sigmas.max(axis=1, keepdims=True))
    axes = Rotation.from_quat(unit_quaternions(quats), scalar_first=True).as_matrix() * sigmas[:, None, :]
    full = axes @ axes.transpose(0, 2, 1)
    return full.reshape(-1, 9)[:, [0, 1, 2, 4, 5, 8]]
