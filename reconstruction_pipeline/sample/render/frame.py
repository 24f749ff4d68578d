"""One frame of the video: sub-frames over the exposure time, averaged in linear light."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from reconstruction_pipeline.sample.path import CameraPath
from reconstruction_pipeline.sample.render import rasterizer
from reconstruction_pipeline.sample.render.atlas import RADIANCE_MAX, Atlas
from reconstruction_pipeline.sample.render.triangles import Triangles
from reconstruction_pipeline.sample.variants import Variant

Pose = tuple[NDArray[np.float64], NDArray[np.float64]]


class Renderer:
    """Draws the triangles at a variant's picture size; holds the buffers that every draw reuses: one a thread."""

    def __init__(self, triangles: Triangles, variant: Variant) -> None:
        self._triangles, self._variant = triangles, variant
        count = len(triangles.faces)
        self._points = np.empty_like(triangles.vertices)
        self._edges, self._planes = np.empty((count, 3, 3)), np.empty((count, 3, 3))
        self._bounds = np.empty((count, 4), np.int32)
        self._inverse = np.empty((variant.height, variant.width), np.float32)
        self._owner = np.empty((variant.height, variant.width), np.int32)

    def frame(self, atlas: Atlas, path: CameraPath, mid_time: float) -> NDArray[np.float32]:
        """Linear light (h, w, 3) gathered while the shutter is open about `mid_time` seconds.

        Each sub-frame looks at its own moment and through its own place in the pixel, so that their mean has motion
        blur and antialiased edges at once.
        """
        variant, patch = self._variant, self._triangles.patch
        light = np.zeros((variant.height, variant.width, 3), np.float32)
        gain = np.float32(RADIANCE_MAX / 255**2 / variant.subframes)
        shapes = atlas.shapes[patch].astype(np.float64)
        for index, (dx, dy) in enumerate(_offsets(variant.subframes)):
            moment = mid_time + ((index + 0.5) / variant.subframes - 0.5) * variant.shutter_s
            self._rasterize(shapes, path.pose(moment), dx, dy)
            sharpness = 1 - (index * 0.6180339887) % 1
            rasterizer.accumulate(
                self._owner, self._planes, patch, atlas.texels, atlas.offsets, atlas.shapes, sharpness, gain, light
            )
        return light

    def depth(self, pose: Pose) -> NDArray[np.float32]:
        """Depth (h, w) in metres along the camera's z at pixel centres; 0 where nothing is seen."""
        self._rasterize(np.ones((len(self._triangles.faces), 2)), pose, 0.0, 0.0)
        seen = self._owner >= 0
        return np.where(seen, 1 / np.where(seen, self._inverse, 1), 0).astype(np.float32)

    def _rasterize(self, shapes: NDArray[np.float64], pose: Pose, dx: float, dy: float) -> None:
        """Fills the buffers, with every sample moved by (dx, dy) from its pixel's centre."""
        triangles, variant = self._triangles, self._variant
        width, height = variant.width, variant.height
        rasterizer.to_camera(triangles.vertices, *pose, self._points)
        rasterizer.set_up(
            self._points, triangles.uv, triangles.faces, shapes, variant.focal_px,
            width / 2 - dx, height / 2 - dy, width, height, self._edges, self._planes, self._bounds,
        )  # fmt: skip
        rasterizer.visible(self._edges, self._planes, self._bounds, self._inverse, self._owner)


def _offsets(count: int) -> list[tuple[float, float]]:
    """`count` places in the pixel, -0.5..0.5, spread evenly (Roberts' R2 sequence), about its centre."""
    rows = [(index * 0.7548776662) % 1 for index in range(count)]
    columns = [(index * 0.5698402910) % 1 for index in range(count)]
    mean_row, mean_column = sum(rows) / count, sum(columns) / count
    return [(c - mean_column, r - mean_row) for c, r in zip(columns, rows, strict=True)]
