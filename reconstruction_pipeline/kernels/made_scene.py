"""A made scene to measure speed on, and to compile kernels with."""

from __future__ import annotations

import numpy as np

from reconstruction_pipeline.kernels.camera import PinholeView
from reconstruction_pipeline.kernels.layout import Array, spatial_order, to_planes


def made_scene(count: int, seed: int = 7, size: float = 1.0) -> Array:
    """Planes of a furnished room of flat splats on walls, floor and a few balls, in spatial order.

    size: how large the splats are; with 1.75 they touch as many tiles as those of a trained capture (fox) do.
    """
    rng = np.random.default_rng(seed)
    kind = rng.choice(3, count, p=(0.35, 0.25, 0.4))
    u, v = rng.uniform(-1, 1, (2, count))
    directions = rng.normal(size=(count, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    centres = np.array([(-1.0, 0.9, 4.2), (0.9, 1.0, 3.4), (0.1, -0.6, 5.0)])[rng.integers(0, 3, count)]
    wall = np.stack([2.2 * u, 2.6 * v, np.full(count, 6.5)], 1)
    floor = np.stack([2.2 * u, np.full(count, 1.9), 4.5 + 2.0 * v], 1)
    ball = centres + 0.8 * directions
    means = np.choose(kind[:, None], (wall, floor, ball))
    normals = np.choose(kind[:, None], (np.tile((0, 0, 1.0), (count, 1)), np.tile((0, 1.0, 0), (count, 1)), directions))
    # Rotation taking the z axis to the normal (half-way quaternion); the third scale is the thin one.
    half = normals + np.array([0.0, 0.0, 1.0001])
    quats = np.stack([half[:, 2], -half[:, 1], half[:, 0], np.zeros(count)], 1)
    spacing = size * np.sqrt(60.0 / count)
    log_scales = np.log(spacing * np.array([0.6, 0.45, 0.08])) + rng.normal(0, 0.55, (count, 3))
    logits = rng.normal(0.0, 2.0, count)
    sh = rng.normal(0, 0.08, (count, 16, 3))
    sh[:, 0] = np.sin(means * 2.5) + rng.normal(0, 0.3, (count, 3))
    order = spatial_order(means)
    as32 = [table[order].astype(np.float32) for table in (means, log_scales, quats, logits, sh)]
    return to_planes(as32[0], as32[1], as32[2], as32[3], as32[4])


def bench_view(width: int, height: int) -> PinholeView:
    """A camera in the door of the made room, upright 9:16."""
    focal = 1.1 * height
    return PinholeView(np.eye(3), np.array([0.1, 0.0, 0.2]), focal, focal, width / 2, height / 2, width, height)
