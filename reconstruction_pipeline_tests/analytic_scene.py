"""A small textured scene with exact depth: a slanted wall, a floor and a box, seen along an arc.

World y-down, as everywhere; nothing in it is symmetric, so that a mirrored or swapped axis shows.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from reconstruction_pipeline.artifacts import CameraPoses
from reconstruction_pipeline.artifacts.colmap import Camera, ColmapModel, PosedImage, write_model
from reconstruction_pipeline.kernels.camera import PinholeView

BOX_LOW, BOX_HIGH = np.array([-0.9, -0.35, 2.6]), np.array([0.1, 0.8, 3.3])
FLOOR_Y = 0.8
WALL_NORMAL, WALL_OFFSET = np.array([0.25, 0.0, 1.0]), 4.2
FOCAL_SHARE = 0.9


@dataclass(frozen=True)
class AnalyticScene:
    """Views with their pictures (H, W, 3) uint8 RGB and true depths (H, W) float32."""

    views: list[PinholeView]
    pictures: list[np.ndarray]
    depths: list[np.ndarray]

    @property
    def names(self) -> list[str]:
        return [f"view_{i:02d}.png" for i in range(len(self.views))]


def make_scene(count: int = 7, width: int = 160, height: int = 120) -> AnalyticScene:
    views = [_view(t, width, height) for t in np.linspace(-1, 1, count)]
    rendered = [render(view) for view in views]
    return AnalyticScene(views, [r[0] for r in rendered], [r[1] for r in rendered])


def _view(t: float, width: int, height: int) -> PinholeView:
    center = np.array([0.7 * t, -0.35 + 0.12 * t * t, 0.15 * np.cos(2 * t)])
    forward = np.array([-0.1, 0.25, 3.4]) - center
    forward /= np.linalg.norm(forward)
    right = np.cross([0.0, 1.0, 0.0], forward)
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])
    focal = FOCAL_SHARE * width
    return PinholeView(rotation, -rotation @ center, focal, focal, width / 2 + 1.5, height / 2 - 1.0, width, height)


def render(view: PinholeView) -> tuple[np.ndarray, np.ndarray]:
    """Picture, averaged over 2x2 rays a pixel, and the depth of the pixel centres."""
    fine = view.scaled(2 * view.width, 2 * view.height)
    points, _ = _cast(fine)
    colour = cv2.resize(_texture(points), (view.width, view.height), interpolation=cv2.INTER_AREA)
    points, depth = _cast(view)
    return np.clip(np.rint(255 * colour), 0, 255).astype(np.uint8), depth.astype(np.float32)


def _cast(view: PinholeView) -> tuple[np.ndarray, np.ndarray]:
    u, v = np.meshgrid(np.arange(view.width) + 0.5, np.arange(view.height) + 0.5)
    rays = np.stack([(u - view.cx) / view.fx, (v - view.cy) / view.fy, np.ones_like(u)], -1) @ view.rotation
    origin = view.center
    with np.errstate(divide="ignore", invalid="ignore"):
        wall = (WALL_OFFSET - WALL_NORMAL @ origin) / (rays @ WALL_NORMAL)
        floor = (FLOOR_Y - origin[1]) / rays[..., 1]
        slabs = np.stack([(BOX_LOW - origin) / rays, (BOX_HIGH - origin) / rays])
    enter, leave = slabs.min(0).max(-1), slabs.max(0).min(-1)
    box = np.where((enter < leave) & (enter > 0), enter, np.inf)
    floor = np.where(floor > 0, floor, np.inf)
    depth = np.minimum(np.minimum(wall, floor), box)
    return origin + rays * depth[..., None], depth


def _texture(points: np.ndarray) -> np.ndarray:
    """Band-limited pattern in space, float32 RGB in 0..1."""
    rng = np.random.default_rng(3)
    colour = np.full(points.shape, 0.5)
    for scale in (3.0, 6.0, 11.0, 19.0):
        for _ in range(5):
            direction, phase, tint = rng.normal(size=3), rng.uniform(0, 2 * np.pi), rng.normal(size=3)
            wave = np.sin(scale * points @ direction / np.linalg.norm(direction) + phase)
            colour += 0.055 * wave[..., None] * (1 + 0.5 * tint)
    return colour.astype(np.float32)


def write_poses(folder: Path, scene: AnalyticScene, points: int = 600) -> CameraPoses:
    """A COLMAP project with exact poses and sparse points taken from the true depth."""
    rng = np.random.default_rng(1)
    view = scene.views[0]
    camera = Camera("PINHOLE", view.width, view.height, (view.fx, view.fy, view.cx, view.cy))
    xyz, rgb = [], []
    for v, picture, depth in zip(scene.views, scene.pictures, scene.depths, strict=True):
        rows = rng.integers(2, v.height - 2, points // len(scene.views))
        columns = rng.integers(2, v.width - 2, len(rows))
        z = depth[rows, columns].astype(float)
        ray = np.stack([(columns + 0.5 - v.cx) / v.fx, (rows + 0.5 - v.cy) / v.fy, np.ones(len(rows))], 1)
        xyz.append((ray * z[:, None]) @ v.rotation + v.center)
        rgb.append(picture[rows, columns])
    cloud = np.concatenate(xyz)
    images = []
    (folder / "images").mkdir(parents=True)
    for name, v, picture, depth in zip(scene.names, scene.views, scene.pictures, scene.depths, strict=True):
        local = cloud @ v.rotation.T + v.translation
        xy = local[:, :2] / local[:, 2:] * [v.fx, v.fy] + [v.cx, v.cy]
        inside = (local[:, 2] > 0) & np.all((xy >= 0) & (xy < [v.width, v.height]), axis=1)
        column, row = np.floor(xy[inside]).astype(int).T
        rows = np.flatnonzero(inside)[np.abs(depth[row, column] / local[inside, 2] - 1) < 0.01]
        images.append(PosedImage(name, 1, _quaternion(v.rotation), v.rotation, v.translation, xy[rows], rows))
        cv2.imwrite(str(folder / "images" / name), picture[:, :, ::-1])
    lengths = np.bincount(np.concatenate([i.point_rows for i in images]), minlength=len(cloud))
    model = ColmapModel({1: camera}, tuple(images), cloud, np.concatenate(rgb), np.full(len(cloud), 0.3), lengths)
    write_model(folder / "sparse" / "0", model)
    return CameraPoses(folder=folder)


def _quaternion(rotation: np.ndarray) -> tuple[float, float, float, float]:
    w = 0.5 * np.sqrt(max(1 + np.trace(rotation), 1e-12))
    x, y, z = (rotation[2, 1] - rotation[1, 2], rotation[0, 2] - rotation[2, 0], rotation[1, 0] - rotation[0, 1])
    return float(w), float(x / (4 * w)), float(y / (4 * w)), float(z / (4 * w))
