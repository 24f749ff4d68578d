"""A small posed scene, and splats of it that are good enough to pass the gates: pixels of the true depth."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from reconstruction_pipeline.artifacts import CameraPoses
from reconstruction_pipeline.artifacts.gaussian_splats import Gaussians
from reconstruction_pipeline_tests.analytic_scene import AnalyticScene, make_scene, write_poses

HOLDOUT = 3
SH_C0 = 0.28209479177387814


def posed(folder: Path) -> tuple[CameraPoses, AnalyticScene]:
    scene = make_scene()
    return write_poses(folder, scene, points=2100), scene


def splats_of(scene: AnalyticScene, step: int = 3) -> Gaussians:
    """One opaque ball for every so many pixels of every view, of about their size."""
    means, sizes, colours = [], [], []
    for view, picture, depth in zip(scene.views, scene.pictures, scene.depths, strict=True):
        rows, columns = np.mgrid[0 : view.height : step, 0 : view.width : step].reshape(2, -1)
        z = depth[rows, columns].astype(float)
        rays = np.stack([(columns + 0.5 - view.cx) / view.fx, (rows + 0.5 - view.cy) / view.fy, np.ones(len(z))], 1)
        means.append((rays * z[:, None]) @ view.rotation + view.center)
        sizes.append(0.3 * step * z / view.fx)
        colours.append(picture[rows, columns] / 255.0)
    n = sum(map(len, means))
    sh = np.zeros((n, 16, 3), np.float32)
    sh[:, 0] = (np.concatenate(colours) - 0.5) / SH_C0
    quats = np.tile(np.array([1.0, 0.0, 0.0, 0.0], np.float32), (n, 1))
    log_scales = np.log(np.repeat(np.concatenate(sizes)[:, None], 3, axis=1)).astype(np.float32)
    return Gaussians(np.concatenate(means).astype(np.float32), log_scales, quats, np.full(n, 3.0, np.float32), sh)
