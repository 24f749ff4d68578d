"""The frame training works in: cameras around the origin, median depth one.

Learning rates of the means and the noise of MCMC have units of length (the noise even of length
squared), so the same numbers mean the same thing in every scene only after this. The median depth
is used rather than the extent of the cameras because what a step of the means does in the image is
step / depth: a short path past a distant scene and a walk around a table then train alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.artifacts.errors import StageFailed
from reconstruction_pipeline.artifacts.gaussian_splats import Gaussians
from reconstruction_pipeline.kernels.camera import PinholeView


@dataclass(frozen=True)
class Normalisation:
    """x_normalised = (x_world - center) / scale."""

    center: npt.NDArray[np.float64]
    scale: float

    def points(self, xyz: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """World points (N, 3) to the normalised frame."""
        return (np.asarray(xyz, np.float64) - self.center) / self.scale

    def camera(self, view: PinholeView) -> PinholeView:
        """The same camera in the normalised frame: pictures are unchanged, depths are divided by `scale`."""
        rotation = np.asarray(view.rotation, np.float64)
        translation = (rotation @ self.center + np.asarray(view.translation, np.float64)) / self.scale
        return replace(view, translation=translation)

    def apply(self, gaussians: Gaussians) -> Gaussians:
        """World Gaussians to the normalised frame."""
        return replace(
            gaussians,
            means=self.points(gaussians.means).astype(np.float32),
            log_scales=(gaussians.log_scales - np.log(self.scale)).astype(np.float32),
        )

    def undo(self, gaussians: Gaussians) -> Gaussians:
        """Normalised Gaussians back to the world (SH and rotations do not change: there is no rotation)."""
        means = gaussians.means.astype(np.float64) * self.scale + self.center
        return replace(
            gaussians,
            means=means.astype(np.float32),
            log_scales=(gaussians.log_scales + np.log(self.scale)).astype(np.float32),
        )


def visible_depths(cameras: Sequence[PinholeView], xyz: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Depths of all (camera, point) pairs where the point falls into the picture, in front of the camera."""
    depths = []
    for view in cameras:
        local = xyz @ np.asarray(view.rotation, np.float64).T + np.asarray(view.translation, np.float64)
        z = np.where(local[:, 2] > 0, local[:, 2], np.inf)
        u = view.fx * local[:, 0] / z + view.cx
        v = view.fy * local[:, 1] / z + view.cy
        inside = np.isfinite(z) & (u >= 0) & (u < view.width) & (v >= 0) & (v < view.height)
        depths.append(z[inside])
    return np.concatenate(depths) if depths else np.empty(0)


def normalise(cameras: Sequence[PinholeView], xyz: npt.NDArray[np.floating]) -> Normalisation:
    """Centre on the cameras, scale by the median depth of the points they see; StageFailed if they see none."""
    depths = visible_depths(cameras, np.asarray(xyz, np.float64))
    scale = float(np.median(depths)) if depths.size else 0.0
    if not np.isfinite(scale) or scale <= 0.0:
        raise StageFailed("No 3D point lies in front of any camera; check that poses and points belong together.")
    center = np.mean([view.center for view in cameras], axis=0)
    return Normalisation(np.asarray(center, np.float64), scale)
