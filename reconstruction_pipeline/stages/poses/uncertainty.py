"""How well the images determine the focal length: its deviation by the normal equations of bundle adjustment.

Triggs et al., "Bundle adjustment: a modern synthesis", 2000, section 9: the inverse of the normal matrix is the
covariance of the estimate, if the residuals are independent; points and poses are eliminated by Schur complements,
which leaves what is known of the lens whatever they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.artifacts.colmap import Camera, ColmapModel
from reconstruction_pipeline.stages.poses.lens import focal_lengths
from reconstruction_pipeline.stages.poses.masks import distort

Array = npt.NDArray[np.float64]

# Points looked at, those of the longest tracks; more would hardly make the deviation smaller.
MOST_POINTS = 2000


@dataclass(frozen=True)
class FocalUncertainty:
    """`relative`: standard deviation of the focal length over itself. `residual_px`: of one coordinate."""

    relative: float
    residual_px: float


def focal_uncertainty(model: ColmapModel) -> FocalUncertainty | None:
    """Of the camera that most images share, all other lenses held; None for fewer observations than unknowns.

    Free are its focal length and one radial coefficient, all poses and all points; not the principal point.
    None as well for a model that hangs together so loosely that nothing follows from it.
    """
    from scipy import sparse
    from scipy.linalg import cho_factor, cho_solve

    if not model.images or not len(model.xyz):
        return None
    shared = max(model.cameras, key=lambda key: sum(image.camera_id == key for image in model.images))
    rows = [image.point_rows for image in model.images]
    kept = np.zeros(len(model.xyz), bool)
    counts = np.bincount(np.concatenate(rows), minlength=len(model.xyz))
    kept[np.argsort(-counts, kind="stable")[:MOST_POINTS]] = True
    number = np.cumsum(kept) - 1
    lens_j, pose_j, point_j, residuals, of_image, of_point = [], [], [], [], [], []
    for index, image in enumerate(model.images):
        use = kept[image.point_rows]
        xyz, xy = model.xyz[image.point_rows[use]], image.xy[use]
        lens, pose, point, residual = _jacobians(
            model.cameras[image.camera_id], image.rotation, image.translation, xyz, xy
        )
        lens_j.append(lens if image.camera_id == shared else np.zeros_like(lens))
        pose_j.append(pose)
        point_j.append(point)
        residuals.append(residual)
        of_image.append(np.full(len(xyz), index))
        of_point.append(number[image.point_rows[use]])
    lens_all, pose_all, point_all = np.concatenate(lens_j), np.concatenate(pose_j), np.concatenate(point_j)
    images, points, residual_all = np.concatenate(of_image), np.concatenate(of_point), np.concatenate(residuals)
    unknowns = 2 + 6 * len(model.images) + 3 * int(kept.sum()) - 7
    freedom = residual_all.size - unknowns
    if freedom <= 0:
        return None
    jc = sparse.hstack(
        [sparse.csr_matrix(lens_all.reshape(-1, 2)), _blocks(pose_all, images, len(model.images))]
    ).tocsr()
    jp = _blocks(point_all, points, int(kept.sum()))
    normal = _sums(point_all, points, int(kept.sum()))
    # A point far away hardly has a distance; a trace of a prior keeps its matrix regular and changes nothing else.
    normal += 1e-9 * np.trace(normal, axis1=1, axis2=2)[:, None, None] * np.eye(3)
    count = len(normal)
    inverse = sparse.bsr_matrix((np.linalg.inv(normal), np.arange(count), np.arange(count + 1)))
    between = (jc.T @ jp).tocsr()
    reduced = (jc.T @ jc - between @ inverse.tocsr() @ between.T).toarray()
    # Poses are known up to a similarity: seven directions without any information, which tell nothing of the lens.
    ridge = 1e-9 * np.trace(reduced) / len(reduced) * np.eye(len(reduced) - 2)
    try:
        poses = cho_solve(cho_factor(reduced[2:, 2:] + ridge), reduced[2:, :2])
    except np.linalg.LinAlgError:
        return None
    information = reduced[:2, :2] - reduced[:2, 2:] @ poses
    variance = float((residual_all**2).sum()) / freedom
    covariance = variance * np.linalg.pinv(information, hermitian=True)
    return FocalUncertainty(float(np.sqrt(max(covariance[0, 0], 0.0))), float(np.sqrt(variance)))


def _jacobians(
    camera: Camera, rotation: Array, translation: Array, xyz: Array, xy: Array
) -> tuple[Array, Array, Array, Array]:
    """Per observation: (M, 2, 2) by log focal and radial coefficient, (M, 2, 6) by pose, (M, 2, 3) by point, and the
    residuals (M, 2), pixels. Distortion bends the picture little: its slope is left out of the poses and points.
    """
    local = xyz @ rotation.T + translation
    z = np.maximum(local[:, 2], 1e-9)
    straight = local[:, :2] / z[:, None]
    fx, fy = focal_lengths(camera)
    focal = np.array([fx, fy])
    square = (straight**2).sum(axis=1, keepdims=True)
    lens = np.stack([focal * straight, focal * square * straight], axis=-1)
    projection = np.zeros((len(xyz), 2, 3))
    projection[:, 0, 0], projection[:, 1, 1] = fx / z, fy / z
    projection[:, :, 2] = -focal * straight / z[:, None]
    skew = np.zeros((len(xyz), 3, 3))
    skew[:, 0, 1], skew[:, 0, 2], skew[:, 1, 2] = -local[:, 2], local[:, 1], -local[:, 0]
    skew -= skew.transpose(0, 2, 1)
    pose = np.concatenate([-projection @ skew, projection], axis=-1)
    return lens, pose, projection @ rotation, distort(camera, straight) - xy


def _blocks(jacobian: Array, columns: npt.NDArray[np.int64], count: int) -> Any:
    """(M, 2, K) as a sparse matrix of 2 M rows, each block under its column of K."""
    from scipy import sparse

    observations, _, width = jacobian.shape
    row = np.broadcast_to(np.arange(2 * observations).reshape(-1, 2, 1), jacobian.shape)
    column = np.broadcast_to((columns * width)[:, None, None] + np.arange(width), jacobian.shape)
    return sparse.csr_matrix((jacobian.ravel(), (row.ravel(), column.ravel())), (2 * observations, count * width))


def _sums(jacobian: Array, columns: npt.NDArray[np.int64], count: int) -> Array:
    """(count, 3, 3) normal matrices of the points."""
    total = np.zeros((count, 3, 3))
    np.add.at(total, columns, np.einsum("mik,mil->mkl", jacobian, jacobian))
    return total
