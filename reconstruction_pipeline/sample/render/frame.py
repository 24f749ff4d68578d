"""One frame of the video: sub-frames over the exposure time, averaged in linear light."""

from __future__ import annotations

import numpy as np
from numba import parallel_chunksize
from numpy.typing import NDArray

from reconstruction_pipeline.sample.path import CameraPath
from reconstruction_pipeline.sample.render import rasterizer
from reconstruction_pipeline.sample.render.atlas import RADIANCE_MAX
from reconstruction_pipeline.sample.render.bake import Room
from reconstruction_pipeline.sample.render.triangles import Triangles
from reconstruction_pipeline.sample.variants import Variant

Pose = tuple[NDArray[np.float64], NDArray[np.float64]]


def render_frame(room: Room, path: CameraPath, variant: Variant, mid_time: float) -> NDArray[np.float32]:
    """Linear light (h, w, 3) gathered while the shutter is open about `mid_time` seconds.

    Each sub-frame looks at its own moment and through its own place in the pixel, so that their mean has motion blur
    and antialiased edges at once.
    """
    light = np.zeros((variant.height, variant.width, 3), np.float32)
    count = variant.subframes
    gain = np.float32(RADIANCE_MAX / 255**2 / count)
    shapes = room.atlas.shapes[room.triangles.patch].astype(np.float64)
    for index, (dx, dy) in enumerate(_offsets(count)):
        moment = mid_time + ((index + 0.5) / count - 0.5) * variant.shutter_s
        planes, owner, _ = _rasterize(room.triangles, shapes, path.pose(moment), variant, dx, dy)
        sharpness = 1 - (index * 0.6180339887) % 1
        atlas = room.atlas
        with parallel_chunksize(4):
            rasterizer.accumulate(
                owner, planes, room.triangles.patch, atlas.texels, atlas.offsets, atlas.shapes, sharpness, gain, light
            )
    return light


def render_depth(triangles: Triangles, pose: Pose, variant: Variant) -> NDArray[np.float32]:
    """Depth (h, w) in metres along the camera's z at pixel centres; 0 where nothing is seen."""
    shapes = np.ones((len(triangles.faces), 2))
    _, owner, inverse = _rasterize(triangles, shapes, pose, variant, 0.0, 0.0)
    return np.where(owner >= 0, 1 / np.maximum(inverse, 1e-9), 0).astype(np.float32)


def _rasterize(
    triangles: Triangles, shapes: NDArray[np.float64], pose: Pose, variant: Variant, dx: float, dy: float
) -> tuple[NDArray[np.float64], NDArray[np.int32], NDArray[np.float32]]:
    """Planes, nearest triangle and 1/depth, with every sample moved by (dx, dy) from its pixel's centre."""
    rotation, translation = pose
    width, height = variant.width, variant.height
    edges, planes, bounds = rasterizer.set_up(
        triangles.vertices, triangles.uv, triangles.faces, shapes, rotation, translation, variant.focal_px,
        width / 2 - dx, height / 2 - dy, width, height,
    )  # fmt: skip
    inverse, owner = np.zeros((height, width), np.float32), np.full((height, width), -1, np.int32)
    with parallel_chunksize(1):  # bands differ much in what they hold
        rasterizer.visible(edges, planes, bounds, inverse, owner)
    return planes, owner, inverse


def _offsets(count: int) -> list[tuple[float, float]]:
    """`count` places in the pixel, -0.5..0.5: rows in an order that has nothing to do with time, columns by a lattice."""
    rows = [(index * 0.7548776662) % 1 for index in range(count)]
    columns = [(index * 0.5698402910) % 1 for index in range(count)]
    mean_row, mean_column = sum(rows) / count, sum(columns) / count
    return [(c - mean_column, r - mean_row) for c, r in zip(columns, rows, strict=True)]
