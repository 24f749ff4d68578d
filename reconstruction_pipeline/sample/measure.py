"""What the video truly holds: blur from the true flow."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from reconstruction_pipeline.sample.path import CameraPath
from reconstruction_pipeline.sample.render.frame import render_depth
from reconstruction_pipeline.sample.render.triangles import Triangles
from reconstruction_pipeline.sample.variants import Variant

_STRIDE = 8


def blur_lengths(triangles: Triangles, path: CameraPath, variant: Variant, mid_time: float) -> NDArray[np.float32]:
    """How far what is seen moves on the picture while the shutter is open, in pixels, at every 8th pixel (n,).

    The surface point of a pixel at mid-exposure is projected at the shutter's opening and at its closing.
    """
    coarse = replace(variant, width=variant.width // _STRIDE, height=variant.height // _STRIDE, focal_px=variant.focal_px / _STRIDE)
    pose = path.pose(mid_time)
    depth = render_depth(triangles, pose, coarse)
    rows, columns = np.nonzero(depth > 0)
    z = depth[rows, columns].astype(np.float64)
    ray = np.stack([(columns + 0.5 - coarse.width / 2) / coarse.focal_px, (rows + 0.5 - coarse.height / 2) / coarse.focal_px, np.ones(len(z))], -1)
    world = (ray * z[:, None] - pose[1]) @ pose[0]
    ends = []
    for side in (-0.5, 0.5):
        rotation, translation = path.pose(mid_time + side * variant.shutter_s)
        camera = world @ rotation.T + translation
        ends.append(variant.focal_px * camera[:, :2] / camera[:, 2:])
    return np.linalg.norm(ends[1] - ends[0], axis=-1).astype(np.float32)
