"""A tiny scene with known Gaussians: a bumpy coloured wall seen along an arc."""

from dataclasses import dataclass

import numpy as np
import pytest

from reconstruction_pipeline.artifacts.gaussian_splats import Gaussians
from reconstruction_pipeline.kernels.camera import PinholeView
from reconstruction_pipeline.stages.splats.initialisation import Points
from reconstruction_pipeline.stages.splats.views import TrainingView

SIZE = (80, 64)


@dataclass(frozen=True)
class TinyScene:
    """World-to-camera views with their pictures, and noisy points of the same world."""

    views: list[TrainingView]
    points: Points
    truth: Gaussians


def look_at(center, target):
    """World-to-camera rotation and translation with y down."""
    z = (target - center) / np.linalg.norm(target - center)
    x = np.cross(np.array([0.0, 1.0, 0.0]), z)
    x /= np.linalg.norm(x)
    rotation = np.stack([x, np.cross(z, x), z])
    return rotation, -rotation @ center


def cameras(offset, unit, count=12):
    result = []
    for a in np.linspace(-0.5, 0.5, count):
        center = np.array([3.0 * np.sin(a), 0.3 * np.cos(5 * a), -3.0 * np.cos(a) + 1.0])
        rotation, translation = look_at(center, np.array([0.0, 0.0, 1.0]))
        translation = unit * translation - rotation @ offset
        result.append(PinholeView(rotation, translation, 70.0, 70.0, SIZE[0] / 2, SIZE[1] / 2, *SIZE))
    return result


@pytest.fixture(scope="session")
def tiny_scene():
    """A smooth, asymmetric wall of 1500 Gaussians and its pictures from twelve cameras, far from the origin."""
    from reconstruction_pipeline.stages.splats.evaluate import renderer

    rng = np.random.default_rng(0)
    offset, unit = np.array([10.0, -4.0, 7.0]), 2.5
    n = 1500
    uv = rng.uniform(-1, 1, (n, 2)) * [2.6, 2.0]
    z = 1.0 + 0.3 * np.sin(2 * uv[:, 0]) * np.cos(uv[:, 1])
    xyz = np.column_stack([uv, z])
    colour = 0.5 + 0.4 * np.column_stack(
        [np.sin(1.5 * uv[:, 0] + 0.3), np.cos(2.0 * uv[:, 1]), np.sin(uv[:, 0] + 2 * uv[:, 1])]
    )
    sh = np.zeros((n, 16, 3), np.float32)
    sh[:, 0] = (colour - 0.5) / 0.28209479
    quats = np.zeros((n, 4), np.float32)
    quats[:, 0] = 1.0
    world = offset + unit * xyz
    scales = np.full((n, 3), np.log(0.09 * unit), np.float32)
    truth = Gaussians(world.astype(np.float32), scales, quats, np.full(n, 2.0, np.float32), sh)
    views = []
    all_cameras = cameras(offset, unit)
    render = renderer(truth, all_cameras)
    for i, camera in enumerate(all_cameras):
        picture = np.round(255 * np.clip(render(camera), 0, 1)).astype(np.uint8)
        views.append(TrainingView(f"{i:02d}.png", camera, lambda picture=picture: picture))
    noisy = world + 0.02 * unit * rng.standard_normal(world.shape)
    return TinyScene(views, Points(noisy, np.round(255 * np.clip(colour, 0, 1)).astype(np.uint8)), truth)
