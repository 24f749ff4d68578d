"""Masks of the keyframes, carried over to the undistorted images."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.artifacts.colmap import Camera, ColmapModel
from reconstruction_pipeline.artifacts.errors import InvalidArtifact
from reconstruction_pipeline.artifacts.keyframes import Keyframes

Array = npt.NDArray[np.float64]


def distort(camera: Camera, xy: Array) -> Array:
    """(N, 2) pixels where `camera` sees the directions (x, y, 1), by COLMAP's formulas for its lens models.

    Raises `InvalidArtifact` for a lens model this project does not write.
    """
    x, y = xy[:, 0], xy[:, 1]
    square = x * x + y * y
    if camera.model in ("PINHOLE", "OPENCV"):
        fx, fy, cx, cy, *rest = camera.params
    elif camera.model in ("SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL"):
        fx, cx, cy, *rest = camera.params
        fy = fx
    else:
        raise InvalidArtifact(f"masks cannot be undistorted for the lens model {camera.model}; use SIMPLE_RADIAL.")
    k1, k2, p1, p2 = (*rest, 0.0, 0.0, 0.0, 0.0)[:4]
    radial = 1.0 + k1 * square + k2 * square**2
    u = x * radial + 2 * p1 * x * y + p2 * (square + 2 * x * x)
    v = y * radial + 2 * p2 * x * y + p1 * (square + 2 * y * y)
    return np.column_stack([fx * u + cx, fy * v + cy])


def undistorted_mask(mask: npt.NDArray[np.uint8], source: Camera, target: Camera) -> npt.NDArray[np.uint8]:
    """(target height, target width) of 0 and 255, from a mask (H, W) of the picture that `source` took.

    `target` is the PINHOLE camera of the undistorted picture. What lies outside the mask is ignored too (0).
    """
    fx, fy, cx, cy = target.pinhole()
    x, y = np.meshgrid((np.arange(target.width) + 0.5 - cx) / fx, (np.arange(target.height) + 0.5 - cy) / fy)
    at = distort(source, np.column_stack([x.ravel(), y.ravel()]))
    column = np.floor(at[:, 0] * mask.shape[1] / source.width).astype(np.int64)
    row = np.floor(at[:, 1] * mask.shape[0] / source.height).astype(np.int64)
    inside = (column >= 0) & (row >= 0) & (column < mask.shape[1]) & (row < mask.shape[0])
    result = np.zeros(len(at), np.uint8)
    result[inside] = np.where(mask[row[inside], column[inside]] > 0, 255, 0)
    return result.reshape(target.height, target.width)


def write_masks(keyframes: Keyframes, distorted: ColmapModel, undistorted: ColmapModel, folder: Path) -> int:
    """Write `<image name>.png` into `folder` for each image whose keyframe has a mask; how many there were.

    `distorted` holds the cameras of the keyframes, `undistorted` those of the images as delivered. Without any
    mask the folder does not exist afterwards.
    """
    import cv2

    shutil.rmtree(folder, ignore_errors=True)
    lens = {image.name: distorted.cameras[image.camera_id] for image in distorted.images}
    written = 0
    for image in undistorted.images:
        path = keyframes.mask_path(image.name)
        if path is None:
            continue
        mask = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        if mask is None:
            raise InvalidArtifact(f"{path.name}: the mask cannot be read; run the keyframes stage again.")
        result = undistorted_mask(np.asarray(mask, np.uint8), lens[image.name], undistorted.cameras[image.camera_id])
        folder.mkdir(parents=True, exist_ok=True)
        if not cv2.imwrite(str(folder / f"{image.name}.png"), result):
            raise OSError(f"{folder / image.name}.png: the mask cannot be written")
        written += 1
    return written
