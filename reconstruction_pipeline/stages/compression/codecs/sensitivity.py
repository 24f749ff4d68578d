"""How much the pictures change when a number of a splat does: what quantisation should spend its bits by.

The expected squared change of a picture for a small random error of one parameter is the diagonal of J^T J, J being
the derivative of all pixels by all parameters. With random signs r per pixel and channel, (J^T r)^2 has exactly that
expectation (Hutchinson 1990), so one backward pass per view estimates it for every parameter at once: opacity, area,
occlusion and distance are all in it. Niedermayr et al. (2024, "Compressed 3D Gaussian Splatting") weigh codebooks by
the gradient of the pictures' energy, which this replaces by the error itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.artifacts.gaussian_splats import Gaussians
from reconstruction_pipeline.artifacts.views import fit, spread
from reconstruction_pipeline.kernels.camera import PinholeView
from reconstruction_pipeline.stages.compression.codecs.importance import opacity_area, quantisation_weights, sigmoid
from reconstruction_pipeline.stages.compression.codecs.rotations import multiply

SIZE_PX = 480
"""Longest side of the pictures."""
SHARE, FEWEST, MOST = 0.2, 12, 48
"""Of the cameras, how many are looked through: a long way through many rooms needs more of them than one table."""
PRIOR = 0.05
"""Share of the weights that comes from opacity and area alone: sides that no camera saw must not become arbitrary."""
SH_0 = 0.28209479177387814
CONTRAST = 1.0
"""Assumed contrast of a splat against what is behind it, in base coefficients, where no pictures can say."""

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Sensitivity:
    """Squared change of the pictures per squared change of a number, in units of the mean base colour's.

    `colours` (N,): per base coefficient; `opacities` (N,): per opacity in 0..1; `log_scales` (N, 3); `rotations`
    (N, 3): per radian about the ellipsoid's own axes; `means` (N, 3): per world unit.
    """

    colours: Array
    opacities: Array
    log_scales: Array
    rotations: Array
    means: Array

    def take(self, rows: npt.NDArray[np.intp]) -> Sensitivity:
        """That of some of the splats, in the units of all."""
        return Sensitivity(*(values[rows] for values in vars(self).values()))


def sensitivity_of(scene: Gaussians, views: Sequence[PinholeView], seed: int) -> Sensitivity:
    """Measured where cameras are known, else by the shapes."""
    return from_pictures(scene, views, seed) if views else from_shapes(scene)


def from_shapes(scene: Gaussians) -> Sensitivity:
    """Where no cameras are known: what an isolated splat changes in a picture of all of it."""
    weights = quantisation_weights(scene)
    variances = np.exp(2.0 * np.clip(scene.log_scales.astype(np.float64), -20.0, 20.0))
    # A flat splat is seen as a disk; its thickness hardly shows, so nothing counts as thinner than a tenth.
    seen = np.maximum(variances, 0.01 * variances.max(axis=1, keepdims=True))
    pairs = [(1, 2), (0, 2), (0, 1)]
    turned = [(seen[:, i] - seen[:, j]) ** 2 / (seen[:, i] * seen[:, j]) for i, j in pairs]
    # Integrals of exp(-u^2) times the square of its derivative: 3/4 per log scale, 1/2 per sigma of shift.
    contrast, column = CONTRAST**2, weights[:, None]
    return Sensitivity(
        weights,
        contrast * weights / np.maximum(sigmoid(scene.opacity_logits), 0.05) ** 2,
        np.repeat(0.75 * contrast * column, 3, axis=1),
        0.25 * contrast * column * np.stack(turned, axis=1),
        0.5 * contrast * column / seen,
    )


def from_pictures(scene: Gaussians, views: Sequence[PinholeView], seed: int) -> Sensitivity:
    """Measured on some of `views` (`SHARE`, `FEWEST`, `MOST`), no side longer than `SIZE_PX`."""
    from reconstruction_pipeline.kernels.layout import LOG_SCALE, MEAN, OPACITY, QUAT, SH, aligned_zeros, to_planes
    from reconstruction_pipeline.kernels.rasterizer import Rasterizer

    count = scene.count
    planes = to_planes(scene.means, scene.log_scales, scene.quats, scene.opacity_logits, scene.sh)
    gradient = aligned_zeros(planes.shape)
    rasterizer, rng = Rasterizer(), np.random.default_rng(seed)
    total = Sensitivity(np.zeros(count), np.zeros(count), *(np.zeros((count, 3)) for _ in range(3)))
    # A small turn d about the own axes changes q by q (0, d / 2).
    axes = [multiply(scene.quats, np.array([0.0, *axis])) for axis in 0.5 * np.eye(3)]
    looked = min(MOST, max(FEWEST, round(SHARE * len(views))))
    for view in (fit(view, SIZE_PX) for view in spread(views, looked)):
        depths = scene.means @ np.asarray(view.rotation[2], np.float32) + np.float32(view.translation[2])
        rendered = rasterizer.forward(planes, count, view, near=_near(depths))
        signs = rng.integers(0, 2, rendered.image.shape, dtype=np.int8).astype(np.float32) * 2.0 - 1.0
        rasterizer.backward(signs, gradient)
        rows = gradient[: SH + 3, :count].astype(np.float64)
        total.colours[:] += (rows[SH : SH + 3] ** 2).mean(axis=0)
        total.opacities[:] += rows[OPACITY] ** 2
        total.log_scales[:] += (rows[LOG_SCALE : LOG_SCALE + 3] ** 2).T
        total.means[:] += (rows[MEAN : MEAN + 3] ** 2).T
        for k, axis in enumerate(axes):
            total.rotations[:, k] += np.einsum("kn,nk->n", rows[QUAT : QUAT + 4], axis) ** 2
    opacity = sigmoid(scene.opacity_logits)
    total.opacities[:] /= np.maximum(opacity * (1.0 - opacity), 1e-4) ** 2
    unit = float(total.colours.mean())
    if not unit > 0.0:
        return from_shapes(scene)
    prior = from_shapes(scene)
    # The prior has the shape of what an unseen splat would show, at the level of the mean splat.
    level = np.minimum(opacity_area(scene), np.percentile(opacity_area(scene), 95.0))
    share = PRIOR * level / max(float(level.mean()), 1e-300) / prior.colours + 1e-9
    return Sensitivity(
        *(
            values / unit + (share if values.ndim == 1 else share[:, None]) * assumed
            for values, assumed in zip(vars(total).values(), vars(prior).values(), strict=True)
        )
    )


def _near(depths: npt.NDArray[np.float32]) -> float:
    ahead = depths[depths > 0]
    return max(0.02 * float(np.median(ahead)), 1e-6) if len(ahead) else 0.01
