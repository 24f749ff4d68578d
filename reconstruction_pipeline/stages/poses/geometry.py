"""Rigid geometry of sparse models: moving, orienting and thinning them, without pycolmap."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.artifacts.colmap import ColmapModel, PosedImage, rotation_of
from reconstruction_pipeline.kernels.parallax import parallax_ratio, rotation_residuals

# Image pairs that tell parallax: shared points, and median motion as a share of the diagonal.
PAIR_POINTS, PAIR_SHIFT = 40, 0.03

Array = npt.NDArray[np.float64]

# Weight of the cameras' own up direction against the levelness of their horizontal axes.
UP_PRIOR = 0.02
# Sine of the roll from which on a frame counts as an outlier.
ROLL_SCALE = 0.2
# How far below the horizon people usually point a camera, as a tangent.
LOOKING_DOWN = 0.35
# A ground plane holds this share of the points and tilts less than this from what the cameras say; against it
# they roll hardly more (a factor, and a sine added) than against their own estimate.
GROUND_SHARE, MAX_TILT, MORE_ROLL = 0.2, np.radians(50.0), (1.25, 0.05)


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


def quaternion_of(rotation: Array) -> tuple[float, float, float, float]:
    """Unit wxyz quaternion of a (3, 3) rotation, w >= 0."""
    # The eigenvector of Bar-Itzhack's symmetric matrix: exact and stable for every angle.
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = rotation
    k = np.array(
        [
            [xx - yy - zz, 0, 0, 0],
            [yx + xy, yy - xx - zz, 0, 0],
            [zx + xz, zy + yz, zz - xx - yy, 0],
            [zy - yz, xz - zx, yx - xy, xx + yy + zz],
        ]
    )
    _, vectors = np.linalg.eigh(k)
    x, y, z, w = vectors[:, -1] * (np.sign(vectors[3, -1]) or 1.0)
    return float(w), float(x), float(y), float(z)


def up_direction(rotations: Array, xyz: Array | None = None) -> Array:
    """(3,) unit vector against gravity in the world, from (N, 3, 3) world-to-camera rotations and points.

    People hold cameras level: the horizontal image axes lie in the ground plane, so `up` is the direction
    most perpendicular to all of them, nudged towards a slightly lowered view where the axes leave it open
    (a camera that never turned). Reweighted so that a few rolled frames count little. A plane that many of
    the points (P, 3) share, and that is level within what the cameras allow, is ground or a table and decides.
    """
    right = rotations[:, 0]
    prior = _unit(_unit(-rotations[:, 1].mean(axis=0)) - LOOKING_DOWN * _unit(rotations[:, 2].mean(axis=0)))
    weights, result = np.ones(len(right)), prior
    for _ in range(10):
        spread = (right * weights[:, None]).T @ right / weights.sum()
        result = _unit(np.linalg.solve(spread + UP_PRIOR * np.eye(3), UP_PRIOR * prior))
        weights = 1.0 / np.maximum(np.abs(right @ result), ROLL_SCALE)
    ground = None if xyz is None else _level_plane(xyz, result, right)
    return result if ground is None else ground


def _level_plane(xyz: Array, up: Array, right: Array, hypotheses: int = 1500) -> Array | None:
    """Normal of the plane most points lie on, among those near `up` and level in the cameras; None if too few."""
    if len(xyz) < 100:
        return None
    rng = np.random.default_rng(0)
    points = xyz[rng.permutation(len(xyz))[:2500]]
    thickness = 0.03 * float(np.median(np.linalg.norm(points - np.median(points, axis=0), axis=1)))
    a, b, c = points[rng.integers(0, len(points), (3, hypotheses))]
    normals = np.cross(b - a, c - a)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    normals *= np.where(normals @ up < 0, -1.0, 1.0)[:, None]
    level = _roll(normals, right) < MORE_ROLL[0] * _roll(up[None], right) + MORE_ROLL[1]
    allowed = level & (normals @ up > np.cos(MAX_TILT))
    if not allowed.any():
        return None
    normals, a = normals[allowed], a[allowed]
    support = np.array([(np.abs((points - p) @ n) < thickness).mean() for n, p in zip(normals, a, strict=True)])
    best = int(np.argmax(support))
    if support[best] < GROUND_SHARE:
        return None
    on_plane = points[np.abs((points - a[best]) @ normals[best]) < thickness]
    _, _, axes = np.linalg.svd(on_plane - on_plane.mean(axis=0), full_matrices=False)
    return np.asarray(axes[2] * np.sign(axes[2] @ normals[best]))


def upright(model: ColmapModel) -> Similarity:
    """To the delivered world: y-down, centred on the points, mean view direction along +z, path radius 1."""
    rotations = np.array([image.rotation for image in model.images])
    down = -up_direction(rotations, model.xyz)
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


def _roll(ups: Array, right: Array) -> Array:
    """Root mean square sine of the cameras' roll, for each of (M, 3) up directions."""
    return np.asarray(np.sqrt(((ups @ right.T) ** 2).mean(axis=1)))


def drop_images(model: ColmapModel, names: Collection[str]) -> ColmapModel:
    """Without these images, and without the points that fewer than two remaining images see."""
    kept = [image for image in model.images if image.name not in names]
    tracks = np.zeros(len(model.xyz), np.int64)
    for image in kept:
        np.add.at(tracks, image.point_rows, 1)
    alive = tracks >= 2
    row_of = np.cumsum(alive) - 1
    images = []
    for image in kept:
        seen = alive[image.point_rows]
        images.append(replace(image, xy=image.xy[seen], point_rows=row_of[image.point_rows[seen]]))
    used = {image.camera_id for image in images}
    return ColmapModel(
        {key: camera for key, camera in model.cameras.items() if key in used},
        tuple(images),
        model.xyz[alive],
        model.rgb[alive],
        model.errors[alive],
        tracks[alive],
    )


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
