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
from reconstruction_pipeline.artifacts.views import load_picture, pinhole_view
from reconstruction_pipeline.stages.splats.initialisation import Points
from reconstruction_pipeline.stages.splats.views import TrainingView

DENSE_POINTS = 100_000
"""At most this many points are fused from all depth maps; the cap may leave room for fewer."""

MIN_CONFIDENCE = 0.5
"""Depth below this confidence does not enter the depth loss."""


def read_mask(path: Path) -> npt.NDArray[np.uint8]:
    """A mask file as (H, W) uint8, 0 where the picture is to be ignored; InvalidArtifact if unreadable."""
    import cv2

    mask = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION)
    if mask is None:
        raise InvalidArtifact(f"{path}: the mask cannot be decoded; give an 8-bit PNG, black where to ignore.")
    return np.where(mask > 0, np.uint8(255), np.uint8(0))


def views_of(
    model: ColmapModel,
    image_path: Callable[[str], Path],
    mask_path: Callable[[str], Path | None] | None = None,
    depth_maps: DepthMaps | None = None,
) -> list[TrainingView]:
    """A training view per registered image, world-to-camera in the model's frame.

    `mask_path` names the mask of an image, or None where it has none. Only confident depth is passed on.
    """
    measured = set() if depth_maps is None else set(depth_maps.names())
    views = []
    for image in model.images:
        mask = None if mask_path is None else mask_path(image.name)
        views.append(
            TrainingView(
                image.name,
                pinhole_view(model, image),
                partial(load_picture, image_path(image.name)),
                None if mask is None else partial(read_mask, mask),
                partial(_confident_depth, depth_maps, image.name)
                if depth_maps is not None and image.name in measured
                else None,
            )
        )
    return views


def _confident_depth(depth_maps: DepthMaps, name: str) -> npt.NDArray[np.float32]:
    depth, confidence = depth_maps.load(name)
    return np.where(confidence >= MIN_CONFIDENCE, depth, np.float32(0.0))


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
