"""Calibrated, undistorted images with world-to-camera poses and a sparse point cloud."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from reconstruction_pipeline.artifacts.base import Artifact
from reconstruction_pipeline.artifacts.colmap import ColmapModel, read_model


@dataclass(frozen=True)
class CameraPoses(Artifact):
    """A COLMAP project: undistorted `images/` and `sparse/0/{cameras,images,points3D}.bin` (PINHOLE).

    World: y-down (gravity along +Y), arbitrary scale unless georeferenced. `transform.json` keeps the
    4x4 that took COLMAP's own frame to this one.
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
