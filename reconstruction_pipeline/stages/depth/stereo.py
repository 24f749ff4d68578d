"""Depth of one image from its neighbours: plane sweep, semi-global smoothing, sub-plane refinement."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.kernels.camera import PinholeView
from reconstruction_pipeline.stages.depth.plane_sweep import RADIUS, sweep, window_statistics
from reconstruction_pipeline.stages.depth.semi_global import aggregate, winners

Array = npt.NDArray[np.float32]

PLANE_STEP_PX = 1.0
"""Planes are this far apart in the neighbour that moves most."""
SMALL_STEP, JUMP = np.float32(12.0), np.float32(140.0)
"""Penalties of the semi-global pass in the volume's units (255 = no correlation)."""
EDGE = np.float32(12.0)
"""A difference of 1 / EDGE in brightness halves the price of a jump."""


class Stereo(NamedTuple):
    """Raw depth of one view, all (H, W) float32: `depth` is z > 0; `matching` is the mean ZNCC of the better
    neighbours at that depth, `distinct` how clearly it beats the next best, both in 0..1."""

    depth: Array
    matching: Array
    distinct: Array
    planes: int


def match(
    view: PinholeView, grey: Array, others: list[tuple[PinholeView, Array]], near: float, far: float,
    min_planes: int, max_planes: int,
) -> Stereo:  # fmt: skip
    """Sweep planes from `near` to `far` (z, world units). `grey` (H, W) float32 in 0..1; `others` of one size."""
    count = plane_count(view, [other for other, _ in others], near, far, min_planes, max_planes)
    inverse = np.linspace(1 / far, 1 / near, count, dtype=np.float32)
    rotations, offsets = homographies(view, [other for other, _ in others])
    reference = np.pad(grey - np.float32(0.5), RADIUS, mode="edge")
    mean, inverse_std = window_statistics(reference)
    sources = np.stack([np.pad(g - np.float32(0.5), (0, 1), mode="edge").ravel() for _, g in others])
    volume = np.empty((view.height, view.width, count), np.uint8)
    keep = (len(others) + 1) // 2
    sweep(reference, mean, inverse_std, sources, others[0][0].width, rotations, offsets, 1 / inverse, keep, volume)
    total = np.empty(volume.shape, np.float32)
    aggregate(volume, grey, SMALL_STEP, JUMP, EDGE, total)
    depth, matching, distinct = (np.empty(grey.shape, np.float32) for _ in range(3))
    winners(total, volume, inverse, depth, matching, distinct)
    return Stereo(depth, matching, distinct, count)


def homographies(view: PinholeView, others: list[PinholeView]) -> tuple[Array, Array]:
    """(N, 3, 3), (N, 3): pixel (u, v) of `view` at depth z is seen at z R (u, v, 1) + t; centres at integers."""
    rotations, offsets = [], []
    back = np.linalg.inv(_matrix(view))
    for other in others:
        rotation = other.rotation @ view.rotation.T
        matrix = _matrix(other)
        rotations.append(matrix @ rotation @ back)
        offsets.append(matrix @ (other.translation - rotation @ view.translation))
    return np.array(rotations, np.float32), np.array(offsets, np.float32)


def _matrix(view: PinholeView) -> npt.NDArray[np.float64]:
    """Intrinsics for pixels whose centres are integers."""
    return np.array([[view.fx, 0, view.cx - 0.5], [0, view.fy, view.cy - 0.5], [0, 0, 1]])


def plane_count(view: PinholeView, others: list[PinholeView], near: float, far: float, fewest: int, most: int) -> int:
    """Planes needed so that neighbouring hypotheses are PLANE_STEP_PX apart; a multiple of 16, for the vectors."""
    rotations, offsets = homographies(view, others)
    u, v = np.meshgrid(np.linspace(0, view.width, 5), np.linspace(0, view.height, 5))
    pixels = np.stack([u.ravel(), v.ravel(), np.ones(25)])
    widest = 1.0
    for rotation, offset in zip(rotations, offsets, strict=True):
        ends = [z * rotation @ pixels + offset[:, None] for z in (near, far)]
        if min(e[2].min() for e in ends) > 1e-6:
            a, b = (e[:2] / e[2] for e in ends)
            widest = max(widest, float(np.median(np.linalg.norm(a - b, axis=0))))
    wanted = min(max(math.ceil(widest / PLANE_STEP_PX), fewest), most)
    return -(-wanted // 16) * 16
