"""From the artifacts that come before to what training takes: views, sparse points, dense points."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.artifacts.colmap import ColmapModel
from reconstruction_pipeline.artifacts.depth_maps import DepthMaps
from reconstruction_pipeline.artifacts.errors import InvalidArtifact
from reconstruction_pipeline.kernels.camera import PinholeView
from reconstruction_pipeline.stages.splats.initialisation import Points
from reconstruction_pipeline.stages.splats.views import TrainingView

MIN_CONFIDENCE = 0.5
"""Depth below this confidence is not used."""
DENSE_POINTS = 60_000
"""Dense points drawn from all depth maps together, before they are chosen for coverage."""


def read_rgb(path: Path) -> npt.NDArray[np.uint8]:
    """An image file as (H, W, 3) uint8 RGB; InvalidArtifact if it is missing or unreadable."""
    import cv2

    image = cv2.imread(str(path), cv2.IMREAD_COLOR) if path.is_file() else None
    if image is None:
        raise InvalidArtifact(f"{path}: missing or unreadable; give the pictures that the poses were made from.")
    return np.ascontiguousarray(image[:, :, ::-1])


def views_of(model: ColmapModel, image_path: Callable[[str], Path]) -> list[TrainingView]:
    """A training view per registered image, world-to-camera in the model's frame."""
    views = []
    for image in model.images:
        camera = model.cameras[image.camera_id]
        fx, fy, cx, cy = camera.pinhole()
        view = PinholeView(image.rotation, image.translation, fx, fy, cx, cy, camera.width, camera.height)
        path = image_path(image.name)
        views.append(TrainingView(image.name, view, lambda path=path: read_rgb(path)))  # type: ignore[misc]
    return views


def points_of(model: ColmapModel) -> Points:
    """The sparse points."""
    return Points(model.xyz, model.rgb)


def depth_normals(
    points: npt.NDArray[np.float64], valid: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Normals (h, w, 3) towards the camera from camera-frame points (h, w, 3), and where all neighbours were valid."""
    normals = np.zeros_like(points)
    across = points[1:-1, 2:] - points[1:-1, :-2]
    down = points[2:, 1:-1] - points[:-2, 1:-1]
    inner = np.cross(down, across)
    length = np.linalg.norm(inner, axis=-1, keepdims=True)
    normals[1:-1, 1:-1] = inner / np.maximum(length, 1e-20)
    known = np.zeros_like(valid)
    known[1:-1, 1:-1] = (
        valid[1:-1, 1:-1] & valid[1:-1, 2:] & valid[1:-1, :-2] & valid[2:, 1:-1] & valid[:-2, 1:-1]
    ) & (length[..., 0] > 1e-20)
    away = np.sum(normals * points, axis=-1) > 0
    normals[away] *= -1.0
    normals[~known] = 0.0
    return normals, known


def dense_points_of(
    depth_maps: DepthMaps, views: list[TrainingView], seed: int, count: int = DENSE_POINTS
) -> Points | None:
    """About `count` coloured points with normals, drawn from the confident pixels of `views`; None if there are none.

    Give training views only: depth of a held-out view would let its picture into the scene.
    """
    rng = np.random.default_rng([seed, 3])
    available = set(depth_maps.names())
    chosen = [view for view in views if view.name in available]
    share = -(-count // max(len(chosen), 1))
    parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    for view in chosen:
        depth, confidence = depth_maps.load(view.name)
        h, w = depth.shape
        camera = view.camera.scaled(w, h)
        valid = (depth > 0) & (confidence >= MIN_CONFIDENCE)
        rows, columns = np.mgrid[0:h, 0:w]
        z = depth.astype(np.float64)
        local = np.stack(
            [(columns + 0.5 - camera.cx) / camera.fx * z, (rows + 0.5 - camera.cy) / camera.fy * z, z], axis=-1
        )
        normals, known = depth_normals(local, valid)
        candidates = np.flatnonzero(known)
        if not candidates.size:
            continue
        picked = np.sort(rng.choice(candidates, min(share, candidates.size), replace=False))
        rotation = np.asarray(view.camera.rotation, np.float64)
        world = (local.reshape(-1, 3)[picked] - view.camera.translation) @ rotation
        image = view.load()
        y = ((picked // w + 0.5) * image.shape[0] / h).astype(int)
        x = ((picked % w + 0.5) * image.shape[1] / w).astype(int)
        parts.append((world, image[y, x], normals.reshape(-1, 3)[picked] @ rotation))
    if not parts:
        return None
    xyz, rgb, normal = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Points(xyz, rgb, normal)
