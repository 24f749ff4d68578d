"""An asymmetric scene of coloured balls, and a camera that sees it, for tests of the page."""

from __future__ import annotations

import numpy as np

from reconstruction_pipeline.artifacts.colmap import Camera, ColmapModel, PosedImage, rotation_of
from reconstruction_pipeline.artifacts.gaussian_splats import Gaussians

# World: y down. Red above, green below, blue to one side, yellow to the other and nearer the first camera.
BALLS = {
    "red": ((0.0, -1.0, 0.0), (0.9, 0.1, 0.1)),
    "green": ((0.0, 1.0, 0.2), (0.1, 0.8, 0.1)),
    "blue": ((-0.8, 0.1, 0.0), (0.1, 0.1, 0.9)),
    "yellow": ((0.7, 0.0, -0.5), (0.9, 0.9, 0.1)),
}
SIZE = (480, 640)  # portrait, as phones film
FOCAL = (560.0, 560.0)
RED_SH = 0.5  # of the third harmonic of degree 1, -0.4886 x of the viewing direction


def balls() -> Gaussians:
    """300 small opaque Gaussians per ball, radius about 0.2; redder when looked at along -x than along +x."""
    rng = np.random.default_rng(3)
    means, colours = [], []
    for center, colour in BALLS.values():
        offsets = rng.normal(size=(300, 3))
        offsets *= 0.2 * rng.random((300, 1)) ** (1 / 3) / np.linalg.norm(offsets, axis=1, keepdims=True)
        means.append(np.array(center) + offsets)
        colours.append(np.tile((np.array(colour) - 0.5) / 0.28209479, (300, 1)))
    count = 300 * len(BALLS)
    sh = np.zeros((count, 16, 3), np.float32)
    sh[:, 0] = np.concatenate(colours)
    sh[:, 3, 0] = RED_SH
    return Gaussians(
        np.concatenate(means).astype(np.float32),
        np.full((count, 3), np.log(0.05), np.float32),
        np.tile(np.array([1, 0, 0, 0], np.float32), (count, 1)),
        np.full(count, 5.0, np.float32),
        sh,
    )


def colour_from(ball: str, eye: np.ndarray) -> np.ndarray:
    """RGB of a ball looked at from `eye`."""
    center, colour = BALLS[ball]
    direction = (np.array(center) - eye) / np.linalg.norm(np.array(center) - eye)
    return np.clip(colour + np.array([-0.48860251 * RED_SH * direction[0], 0.0, 0.0]), 0.0, 1.0)


def cameras() -> ColmapModel:
    """Three cameras on an arc around the balls, level, from 25 degrees of yaw on; every ball is a sparse point."""
    points = np.array([center for center, _ in BALLS.values()])
    points = np.repeat(points, 3, axis=0)
    images = []
    for index, yaw in enumerate(np.radians([25.0, 0.0, -25.0])):
        quaternion = (float(np.cos(yaw / 2)), 0.0, float(np.sin(yaw / 2)), 0.0)
        rotation = rotation_of(quaternion)
        # Looks past the middle, so that nothing is in its place by symmetry.
        translation = np.array([0.15, -0.1, 4.0])
        rows = np.arange(len(points))
        xy = np.array([project(rotation, translation, point) for point in points])
        images.append(PosedImage(f"{index:03d}.jpg", 1, quaternion, rotation, translation, xy, rows))
    width, height = SIZE
    camera = Camera("PINHOLE", width, height, (*FOCAL, width / 2, height / 2))
    return ColmapModel(
        {1: camera},
        tuple(images),
        points,
        np.full((len(points), 3), 128, np.uint8),
        np.full(len(points), 0.5),
        np.full(len(points), 3),
    )


def project(rotation: np.ndarray, translation: np.ndarray, point: np.ndarray) -> tuple[float, float]:
    """Pixel of a world point by the camera model of the project."""
    x, y, z = rotation @ point + translation
    return FOCAL[0] * x / z + SIZE[0] / 2, FOCAL[1] * y / z + SIZE[1] / 2
