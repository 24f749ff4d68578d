"""Rigid geometry of sparse models: moving, orienting and thinning them, without pycolmap."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.artifacts.colmap import ColmapModel, PosedImage, only_images, quaternion_of, rotation_of
from reconstruction_pipeline.kernels.parallax import parallax_ratio, rotation_residuals

# Image pairs that tell parallax: shared points, and median motion as a share of the diagonal.
PAIR_POINTS, PAIR_SHIFT = 40, 0.03

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Similarity:
    """x' = scale * rotation @ x + translation."""

    scale: float
    rotation: Array
    translation: Array

    def matrix(self) -> Array:
        """(4, 4)."""
        result = np.eye(4)
        result[:3, :3] = self.scale * self.rotation
        result[:3, 3] = self.translation
        return result

    def points(self, xyz: Array) -> Array:
        """(N, 3) points moved."""
        return self.scale * xyz @ self.rotation.T + self.translation


def move(model: ColmapModel, by: Similarity) -> ColmapModel:
    """The same scene in another frame; images do not change, depths scale."""
    images = tuple(_moved(image, by) for image in model.images)
    return replace(model, images=images, xyz=by.points(model.xyz))


def _moved(image: PosedImage, by: Similarity) -> PosedImage:
    rotation = image.rotation @ by.rotation.T
    translation = by.scale * image.translation - rotation @ by.translation
    quaternion = quaternion_of(rotation)
    return replace(image, quaternion=quaternion, rotation=rotation_of(quaternion), translation=translation)


def upright(model: ColmapModel, up: Array) -> Similarity:
    """To the delivered world: y-down, centred on the points, mean view direction along +z, path radius 1.

    `up` (3,) is the unit vector against gravity in the model's own world (`orientation.find_gravity`).
    """
    rotations = np.array([image.rotation for image in model.images])
    down = -np.asarray(up, np.float64)
    forward = rotations[:, 2].mean(axis=0)
    forward = forward - down * (forward @ down)
    if np.linalg.norm(forward) < 1e-6:
        forward = np.cross(down, rotations[0, 0])
    z = _unit(forward)
    rotation = np.stack([np.cross(down, z), down, z])
    centers = model.centers @ rotation.T
    radius = float(np.percentile(np.linalg.norm(centers - np.median(centers, axis=0), axis=1), 90))
    middle = np.median(model.xyz @ rotation.T if len(model.xyz) else centers, axis=0)
    scale = 1.0 / radius if radius > 0 else 1.0
    return Similarity(scale, rotation, -scale * middle)


def drop_images(model: ColmapModel, names: Collection[str]) -> ColmapModel:
    """Without these images, and without the points that fewer than two remaining images see."""
    return only_images(model, {image.name for image in model.images}.difference(names))


def largest_ray_angles(model: ColmapModel, most: int = 4000) -> Array:
    """Degrees; for (a regular sample of at most `most`) points the largest angle between two of their rays."""
    rows = np.unique(np.linspace(0, max(len(model.xyz) - 1, 0), min(len(model.xyz), most)).round().astype(int))
    seen_by: list[list[int]] = [[] for _ in range(len(model.xyz))]
    for number, image in enumerate(model.images):
        for row in image.point_rows:
            seen_by[row].append(number)
    centers = model.centers
    angles = []
    for row in rows:
        if len(seen_by[row]) >= 2:
            rays = centers[seen_by[row]] - model.xyz[row]
            rays /= np.maximum(np.linalg.norm(rays, axis=1, keepdims=True), 1e-12)
            angles.append(np.degrees(np.arccos(np.clip((rays @ rays.T).min(), -1, 1))))
    return np.array(angles)


def turning_residual(model: ColmapModel) -> float | None:
    """Share of the image motion that no turning camera explains (`kernels.parallax`), over spread image pairs.

    Small reprojection errors prove nothing here: structure from motion can dress a pure rotation up as a scene.
    None when too few pairs share points and moved between them.
    """
    residuals, motions = [], []
    count = len(model.images)
    for step in {max(1, count // part) for part in (8, 4, 3)}:
        for i in range(0, count - step, max(1, count // 20)):
            first, second = model.images[i], model.images[i + step]
            _, a, b = np.intersect1d(first.point_rows, second.point_rows, return_indices=True)
            camera = model.cameras[first.camera_id]
            if len(a) < PAIR_POINTS or first.camera_id != second.camera_id:
                continue
            shift = float(np.median(np.linalg.norm(second.xy[b] - first.xy[a], axis=1)))
            if shift > PAIR_SHIFT * np.hypot(camera.width, camera.height):
                residuals.append(rotation_residuals(first.xy[a], second.xy[b], camera.width, camera.height))
                motions.append(shift)
    return parallax_ratio(residuals, motions)


def _unit(vector: Array) -> Array:
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-12))
