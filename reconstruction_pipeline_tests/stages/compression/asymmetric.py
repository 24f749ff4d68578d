"""A scene that is different from every side, so that a mirrored, turned or upside-down copy cannot pass for it.

A letter F of flat splats stands upright (its top towards -y), one arm pointing right (+x); a red ball floats above,
a green one lies to the right, a blue one is far behind (+z). The F's colour depends on where it is seen from, in all
three degrees of spherical harmonics.
"""

from __future__ import annotations

import numpy as np

from reconstruction_pipeline.artifacts.gaussian_splats import Gaussians
from reconstruction_pipeline.kernels.camera import PinholeView
from reconstruction_pipeline.stages.compression.fidelity import look_at, renderer

SH_0 = 0.28209479177387814


def asymmetric_scene() -> Gaussians:
    rng = np.random.default_rng(11)
    parts = [
        _strip((-0.6, -1.5), (-0.6, 1.5), 60),
        _strip((-0.6, -1.5), (0.9, -1.5), 40),
        _strip((-0.6, -0.2), (0.4, -0.2), 30),
    ]
    letter = np.concatenate(parts)
    n = len(letter)
    means = [letter, *(_ball(rng, centre, 60) for centre in ((0.2, -2.4, 0.0), (1.6, 0.9, -0.3), (-1.3, 0.6, 1.8)))]
    total = sum(len(part) for part in means)
    log_scales = np.full((total, 3), np.log(0.09))
    # The letter's splats are flat and long, leaning: a rotation read in the wrong order shows.
    log_scales[:n] = np.log([0.16, 0.05, 0.01])
    quats = np.tile([1.0, 0.0, 0.0, 0.0], (total, 1))
    quats[:n] = [0.88, 0.20, -0.10, 0.42]
    quats += rng.normal(size=quats.shape) * 0.05
    quats /= np.linalg.norm(quats, axis=1, keepdims=True)
    sh = np.zeros((total, 16, 3))
    sh[:n, 0] = (0.25, 0.05, -0.3)
    for ball, colour in enumerate(np.eye(3)):
        rows = slice(n + 60 * ball, n + 60 * (ball + 1))
        sh[rows, 0] = (0.9 * colour - 0.4) / SH_0
    sh[:n, 1:4] = rng.normal(size=(3, 3)) * 0.35
    sh[:n, 4:9] = rng.normal(size=(5, 3)) * 0.2
    sh[:n, 9:16] = rng.normal(size=(7, 3)) * 0.15
    logits = np.full(total, 2.5)
    logits[:n:3] = 0.3
    arrays = (np.concatenate(means), log_scales, quats, logits, sh)
    return Gaussians(*(array.astype(np.float32) for array in arrays))


def views() -> list[PinholeView]:
    """From the front, from the right and above, from the left and below."""
    result = []
    for position in ((0.0, 0.0, -6.0), (4.0, -2.5, -4.0), (-4.5, 1.5, -3.0)):
        rotation = look_at(np.array(position), np.zeros(3))
        result.append(PinholeView(rotation, -rotation @ np.array(position), 165.0, 165.0, 80.0, 80.0, 160, 160))
    return result


def pictures(scene: Gaussians) -> np.ndarray:
    """(views, 160, 160, 3) in 0..1."""
    render = renderer(scene, 0.1)
    return np.stack([render(view) for view in views()])


def psnr_of_worst(scene: Gaussians, truth: np.ndarray) -> float:
    """The smallest PSNR over the views, only where either picture shows something: black sky flatters."""
    worst = np.inf
    for copy, original in zip(pictures(scene), truth, strict=True):
        shown = np.maximum(copy, original).max(axis=2) > 0.02
        worst = min(worst, -10.0 * np.log10(np.mean((copy - original)[shown] ** 2) + 1e-12))
    return float(worst)


def _strip(start: tuple[float, float], end: tuple[float, float], count: int) -> np.ndarray:
    points = np.zeros((count, 3))
    points[:, :2] = np.linspace(start, end, count)
    return points


def _ball(rng: np.random.Generator, centre: tuple[float, float, float], count: int) -> np.ndarray:
    return np.asarray(centre) + rng.normal(size=(count, 3)) * 0.12
