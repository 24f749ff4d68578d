"""Cameras and pictures of posed images, at the size a stage works at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.artifacts.colmap import ColmapModel, PosedImage
from reconstruction_pipeline.artifacts.errors import InvalidArtifact
from reconstruction_pipeline.kernels.camera import PinholeView


def pinhole_view(model: ColmapModel, image: PosedImage) -> PinholeView:
    """The camera of an image at full size; raises `InvalidArtifact` for a model with lens distortion."""
    camera = model.cameras[image.camera_id]
    fx, fy, cx, cy = camera.pinhole()
    return PinholeView(image.rotation, image.translation, fx, fy, cx, cy, camera.width, camera.height)


def fit(view: PinholeView, longest_side: int) -> PinholeView:
    """The same camera, made smaller where needed so that no side is longer than `longest_side` pixels."""
    factor = min(1.0, longest_side / max(view.width, view.height))
    return view.scaled(max(1, round(view.width * factor)), max(1, round(view.height * factor)))


def read_picture(path: Path, view: PinholeView) -> npt.NDArray[np.uint8]:
    """The RGB picture (H, W, 3) at the size of the view, averaged over the area of its pixels."""
    import cv2

    # COLMAP ignores EXIF orientation, and so must everything that uses its poses.
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if picture is None:
        raise InvalidArtifact(f"{path}: the image is missing or cannot be decoded; run the stage camera_poses again.")
    if picture.shape[:2] != (view.height, view.width):
        picture = cv2.resize(picture, (view.width, view.height), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(picture[:, :, ::-1])
