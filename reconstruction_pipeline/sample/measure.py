"""What the video truly holds: blur from the true flow."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from reconstruction_pipeline.sample.path import CameraPath
from reconstruction_pipeline.sample.render.frame import Renderer
from reconstruction_pipeline.sample.render.triangles import Triangles
from reconstruction_pipeline.sample.variants import Variant

_STRIDE = 8


class BlurMeter:
    """Measures how far what is seen moves on the picture while the shutter is open."""

    def __init__(self, triangles: Triangles, path: CameraPath, variant: Variant) -> None:
        self._path, self._variant = path, variant
        self._coarse = replace(
            variant,
            width=variant.width // _STRIDE,
            height=variant.height // _STRIDE,
            focal_px=variant.focal_px / _STRIDE,
        )
        self._renderer = Renderer(triangles, self._coarse)

    def lengths(self, mid_time: float) -> NDArray[np.float32]:
        """Lengths in pixels at every 8th pixel (n,): the surface point of a pixel at mid-exposure is projected at the
        shutter's opening and at its closing."""
        coarse, pose = self._coarse, self._path.pose(mid_time)
        depth = self._renderer.depth(pose)
        rows, columns = np.nonzero(depth > 0)
        z = depth[rows, columns].astype(np.float64)
        x = (columns + 0.5 - coarse.width / 2) / coarse.focal_px
        y = (rows + 0.5 - coarse.height / 2) / coarse.focal_px
        world = (np.stack([x, y, np.ones_like(x)], -1) * z[:, None] - pose[1]) @ pose[0]
        ends = []
        for side in (-0.5, 0.5):
            rotation, translation = self._path.pose(mid_time + side * self._variant.shutter_s)
            camera = world @ rotation.T + translation
            ends.append(self._variant.focal_px * camera[:, :2] / camera[:, 2:])
        return np.linalg.norm(ends[1] - ends[0], axis=-1).astype(np.float32)
