"""Pixels to viewing directions, for the camera models that this stage estimates, without pycolmap."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.artifacts.colmap import FOCAL_LENGTHS, Camera
from reconstruction_pipeline.stages.poses.masks import distort

Array = npt.NDArray[np.float64]

# The models `masks.distort` knows.
SUPPORTED = ("SIMPLE_PINHOLE", "PINHOLE", "SIMPLE_RADIAL", "RADIAL", "OPENCV")
ITERATIONS = 20


def normalised(camera: Camera, xy: Array) -> Array:
    """(N, 2) pixels to (N, 2) undistorted coordinates on the plane z = 1.

    Raises `InvalidArtifact` for a lens model that is not SUPPORTED.
    """
    fx, fy = focal_lengths(camera)
    straight = (xy - camera.params[FOCAL_LENGTHS[camera.model] :][:2]) / [fx, fy]
    for _ in range(ITERATIONS):
        # Fixed point: what the lens adds hardly changes over the little that is still wrong.
        missing = (xy - distort(camera, straight)) / [fx, fy]
        if len(missing) == 0 or np.abs(missing).max() < 1e-9:
            break
        straight = straight + missing
    return straight


def focal_lengths(camera: Camera) -> tuple[float, float]:
    """(fx, fy), pixels."""
    return camera.params[0], camera.params[FOCAL_LENGTHS[camera.model] - 1]
