"""Calibrated, undistorted images with world-to-camera poses and a sparse point cloud."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.artifacts.base import Artifact
from reconstruction_pipeline.artifacts.colmap import ColmapModel, read_model
from reconstruction_pipeline.artifacts.errors import InvalidArtifact


@dataclass(frozen=True)
class CameraPoses(Artifact):
    """A COLMAP project: undistorted `images/` and `sparse/0/{cameras,images,points3D}.bin` (PINHOLE).

    World: y-down (gravity along +Y), arbitrary scale unless georeferenced. `transform.json` keeps the
    4x4 that took COLMAP's own frame to this one and the `unit` ("metre" or "arbitrary"). `masks/<name>.png` where the
    capture has masks. `georeference.json` where GPS placed the scene: the geodetic origin of the local frame (x east,
    y down, z north, metres), which is in no other file.
    """

    KIND: ClassVar[str] = "camera_poses"
    REQUIRED: ClassVar[tuple[str, ...]] = (
        "images",
        "sparse/0/cameras.bin",
        "sparse/0/images.bin",
        "sparse/0/points3D.bin",
    )

    def model(self) -> ColmapModel:
        """Cameras, images and points; read anew at each call."""
        return read_model(self.path("sparse", "0"))

    def image_path(self, name: str) -> Path:
        """The undistorted image of that name."""
        return self.path("images", name)

    def mask_path(self, name: str) -> Path | None:
        """The mask of that undistorted image, or None when it has none."""
        path = self.path("masks", f"{name}.png")
        return path if path.is_file() else None

    def mask(self, name: str) -> npt.NDArray[np.uint8] | None:
        """(H, W) of the undistorted image, 255 what counts and 0 what is to be ignored; None when it has no mask.

        Raises `InvalidArtifact` when the file cannot be read.
        """
        path = self.mask_path(name)
        if path is None:
            return None
        from PIL import Image

        try:
            with Image.open(path) as picture:
                return np.where(np.asarray(picture.convert("L")) > 0, 255, 0).astype(np.uint8)
        except OSError as error:
            raise InvalidArtifact(f"{path}: the mask cannot be read ({error}); run camera_poses again.") from error

    def transform(self) -> dict[str, Any]:
        """`transform.json`: `matrix` (4, 4) from COLMAP's frame to this world, and its `unit`."""
        result: dict[str, Any] = json.loads(self.path("transform.json").read_text())
        return result
