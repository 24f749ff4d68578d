"""Depth per registered image, in the poses' scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.artifacts.base import Artifact


class DepthMap(NamedTuple):
    """`depth` (h, w) float32, z in the camera frame, world units, 0 where unknown; `confidence` (h, w) in 0..1."""

    depth: npt.NDArray[np.float32]
    confidence: npt.NDArray[np.float32]


@dataclass(frozen=True)
class DepthMaps(Artifact):
    """`depth/<image name>.npz` with `depth` and `confidence`; the size may be smaller than the image's.

    Pixel (row i, column j) of a map of size (h, w) covers the image point
    ((j + 0.5) * W / w, (i + 0.5) * H / h), for an image of size (H, W).
    """

    KIND: ClassVar[str] = "depth_maps"
    REQUIRED: ClassVar[tuple[str, ...]] = ("depth",)

    def names(self) -> list[str]:
        """Names of the images that have a map."""
        return sorted(p.name[: -len(".npz")] for p in self.path("depth").glob("*.npz"))

    def load(self, name: str) -> DepthMap:
        """The map of one image."""
        with np.load(self.path("depth", f"{name}.npz")) as data:
            return DepthMap(data["depth"].astype(np.float32), data["confidence"].astype(np.float32))
