"""Cameras and pictures of posed images, at the size a stage works at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.artifacts.colmap import ColmapModel, PosedImage
from reconstruction_pipeline.artifacts.errors import InvalidArtifact
from reconstruction_pipeline.kernels.camera import PinholeView

Item = TypeVar("Item")


def pinhole_view(model: ColmapModel, image: PosedImage) -> PinholeView:
    """The camera of an image at full size; raises `InvalidArtifact` for a model with lens distortion."""
    camera = model.cameras[image.camera_id]
    fx, fy, cx, cy = camera.pinhole()
    return PinholeView(image.rotation, image.translation, fx, fy, cx, cy, camera.width, camera.height)


def fit(view: PinholeView, longest_side: int) -> PinholeView:
    """The same camera, made smaller where needed so that no side is longer than `longest_side` pixels."""
    factor = min(1.0, longest_side / max(view.width, view.height))
    return view.scaled(max(1, round(view.width * factor)), max(1, round(view.height * factor)))


def spread(views: Sequence[Item], most: int) -> list[Item]:
    """At most `most` of the views (or of their numbers), evenly chosen, the first among them."""
    if len(views) <= most:
        return list(views)
    return [views[i] for i in np.linspace(0, len(views) - 1, most).round().astype(int)]


def load_picture(path: Path) -> npt.NDArray[np.uint8]:
    """A picture as stored, 8 bits: (H, W, 3) RGB, or (H, W, 4) RGBA (straight alpha) where some of it is transparent.

    EXIF orientation is ignored: COLMAP ignores it, and so must everything that uses its poses. Raises
    `InvalidArtifact` if the file is missing or cannot be decoded.
    """
    import cv2

    stored: npt.NDArray[Any] | None = cv2.imread(str(path), cv2.IMREAD_UNCHANGED) if path.is_file() else None
    if stored is None or stored.dtype not in (np.uint8, np.uint16):
        raise InvalidArtifact(f"{path}: missing or unreadable; give the pictures that the poses were made from.")
    picture: npt.NDArray[np.uint8] = np.atleast_3d(stored // 257 if stored.dtype == np.uint16 else stored)
    picture = picture.astype(np.uint8, copy=False)
    if picture.shape[2] == 1:
        picture = np.repeat(picture, 3, axis=2)
    if picture.shape[2] == 4 and bool((picture[:, :, 3] < 255).any()):
        return np.ascontiguousarray(picture[:, :, [2, 1, 0, 3]])
    return np.ascontiguousarray(picture[:, :, 2::-1])


def read_picture(path: Path, view: PinholeView) -> npt.NDArray[np.uint8]:
    """The RGB picture (H, W, 3) at the size of the view, averaged over the area of its pixels; alpha is left out."""
    import cv2

    picture = np.ascontiguousarray(load_picture(path)[:, :, :3])
    if picture.shape[:2] != (view.height, view.width):
        return cv2.resize(picture, (view.width, view.height), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    return picture


def what_counts(mask: npt.NDArray[np.uint8] | None, view: PinholeView) -> npt.NDArray[np.bool_] | None:
    """(H, W) at the size of the view: False where any part of a pixel is ignored; None without a mask.

    `mask` is `CameraPoses.mask`: 255 what counts, at the picture's own size.
    """
    import cv2

    if mask is None:
        return None
    if mask.shape != (view.height, view.width):
        mask = cv2.resize(mask, (view.width, view.height), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    return np.asarray(mask == 255)
