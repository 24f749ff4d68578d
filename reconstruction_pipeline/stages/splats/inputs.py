"""From the artifacts that come before to what training takes: views, sparse points, dense points."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.artifacts.camera_poses import CameraPoses
from reconstruction_pipeline.artifacts.colmap import ColmapModel
from reconstruction_pipeline.artifacts.depth_fusion import fuse_points
from reconstruction_pipeline.artifacts.depth_maps import DepthMaps
from reconstruction_pipeline.artifacts.errors import InvalidArtifact
from reconstruction_pipeline.artifacts.views import pinhole_view
from reconstruction_pipeline.stages.splats.initialisation import Points
from reconstruction_pipeline.stages.splats.views import TrainingView

DENSE_POINTS = 100_000
"""At most this many points are fused from all depth maps; the cap may leave room for fewer."""


def read_rgb(path: Path) -> npt.NDArray[np.uint8]:
    """An image file as (H, W, 3) uint8 RGB, EXIF orientation ignored as COLMAP does; InvalidArtifact if unreadable."""
    import cv2

    image = cv2.imread(str(path), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION) if path.is_file() else None
    if image is None:
        raise InvalidArtifact(f"{path}: missing or unreadable; give the pictures that the poses were made from.")
    return np.ascontiguousarray(image[:, :, ::-1])


def views_of(model: ColmapModel, image_path: Callable[[str], Path]) -> list[TrainingView]:
    """A training view per registered image, world-to-camera in the model's frame."""
    return [
        TrainingView(image.name, pinhole_view(model, image), partial(read_rgb, image_path(image.name)))
        for image in model.images
    ]


def points_of(model: ColmapModel) -> Points:
    """The sparse points."""
    return Points(model.xyz, model.rgb)


@dataclass(frozen=True)
class _DepthOfSomeViews(DepthMaps):
    """The same maps, as if only those of `views` existed."""

    views: frozenset[str] = frozenset()

    def names(self) -> list[str]:
        """Names of the images that have a map and are among `views`."""
        return [name for name in super().names() if name in self.views]


def dense_points_of(poses: CameraPoses, depth_maps: DepthMaps, names: Sequence[str]) -> Points | None:
    """Points with normals fused from the depth of the images `names`; None where no depth is confident.

    Give the names of training views only: pictures of held-out views must not colour the scene.
    """
    fused = fuse_points(poses, _DepthOfSomeViews(depth_maps.folder, views=frozenset(names)), DENSE_POINTS)
    return Points(fused.xyz, fused.rgb, fused.normals) if len(fused.xyz) else None
