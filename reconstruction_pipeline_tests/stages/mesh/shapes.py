"""Views of a sphere with exact depth, and small meshes."""

from __future__ import annotations

import numpy as np

from reconstruction_pipeline.kernels.camera import PinholeView
from reconstruction_pipeline.stages.mesh.tsdf import DepthView

CENTER, RADIUS = np.array([0.3, -0.2, 0.5]), 0.8


def look_at(center: np.ndarray, target: np.ndarray, width: int = 120, height: int = 90) -> PinholeView:
    forward = (target - center) / np.linalg.norm(target - center)
    right = np.cross([0.0, 1.0, 0.0], forward)
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])
    return PinholeView(rotation, -rotation @ center, 0.9 * width, 0.9 * width, width / 2, height / 2, width, height)


def sphere_view(view: PinholeView) -> DepthView:
    u, v = np.meshgrid(np.arange(view.width) + 0.5, np.arange(view.height) + 0.5)
    rays = np.stack([(u - view.cx) / view.fx, (v - view.cy) / view.fy, np.ones_like(u)], -1) @ view.rotation
    offset = view.center - CENTER
    a, b, c = np.sum(rays**2, -1), rays @ offset, offset @ offset - RADIUS**2
    root = b * b - a * c
    depth = np.where(root > 0, (-b - np.sqrt(np.maximum(root, 0))) / a, 0)
    normals = (view.center + rays * depth[..., None] - CENTER) / RADIUS
    cosine = np.abs(np.sum(rays * normals, -1)) / np.sqrt(a)
    return DepthView(np.where(cosine > 0.1, depth, 0).astype(np.float32), cosine.astype(np.float32), view)


def views_around(count: int = 14) -> list[DepthView]:
    heights = 1 - 2 * (np.arange(count) + 0.5) / count
    turns = 2.4 * np.arange(count)
    ring = np.sqrt(1 - heights**2)
    directions = np.stack([ring * np.cos(turns), heights, ring * np.sin(turns)], 1)
    return [sphere_view(look_at(CENTER + 3 * d, CENTER)) for d in directions]


def volume(vertices: np.ndarray, faces: np.ndarray) -> float:
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    return float(np.sum(np.cross(a, b) * c) / 6)
