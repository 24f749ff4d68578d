"""Straight edges in the undistorted pictures, as the planes they span with the camera."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.artifacts.colmap import ColmapModel, PosedImage

Array = npt.NDArray[np.float64]

# Pictures looked at, their longest side in pixels, the shortest edge as a share of the diagonal, and edges kept.
PICTURES, SIDE, SHORTEST, MOST = 14, 640, 0.05, 900
# Above this share of the diagonal a longer edge proves no more.
LONG = 0.3


@dataclass(frozen=True)
class Segments:
    """`normals` (S, 3) unit, in the model's world, of the planes through camera centre and edge: every direction
    parallel to the edge in space lies in its plane. `weights` (S,) lengths over the diagonal.
    """

    normals: Array
    weights: Array


def find_segments(model: ColmapModel, images: Path) -> Segments:
    """The longest edges of some of the pictures `<images>/<name>`, found by LSD (von Gioi et al., PAMI 2010)."""
    import cv2

    detector = cv2.createLineSegmentDetector()
    count = len(model.images)
    rows = np.unique(np.linspace(0, count - 1, min(count, PICTURES)).round().astype(int))
    found = [_segments_of(model, model.images[row], images, detector) for row in rows]
    normals = np.concatenate([n for n, _ in found]) if found else np.empty((0, 3))
    weights = np.concatenate([w for _, w in found]) if found else np.empty(0)
    longest = np.argsort(-weights, kind="stable")[:MOST]
    return Segments(normals[longest], weights[longest])


def _segments_of(model: ColmapModel, image: PosedImage, folder: Path, detector: Any) -> tuple[Array, Array]:
    import cv2

    gray = cv2.imread(str(folder / image.name), cv2.IMREAD_GRAYSCALE)
    nothing = np.empty((0, 3)), np.empty(0)
    if gray is None:
        return nothing
    scale = min(1.0, SIDE / max(gray.shape))
    gray = cv2.resize(gray, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    found = detector.detect(gray)[0]
    if found is None:
        return nothing
    ends = np.asarray(found, np.float64).reshape(-1, 2, 2)
    lengths = np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1) / np.hypot(*gray.shape)
    ends, lengths = ends[lengths >= SHORTEST], lengths[lengths >= SHORTEST]
    camera = model.cameras[image.camera_id]
    fx, fy, cx, cy = camera.pinhole()
    # OpenCV counts from the centre of the first pixel.
    pixels = (ends + 0.5) * [camera.width / gray.shape[1], camera.height / gray.shape[0]]
    rays = np.concatenate([(pixels - [cx, cy]) / [fx, fy], np.ones((*pixels.shape[:2], 1))], axis=2)
    normals = np.cross(rays[:, 0], rays[:, 1])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    return normals @ image.rotation, np.minimum(lengths, LONG)
