"""Cameras that move as one: the views that were cut out of each frame of a 360° video."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.artifacts.colmap import quaternion_of, rotation_of
from reconstruction_pipeline.artifacts.errors import InvalidArtifact


@dataclass(frozen=True)
class CameraRig:
    """Views from one place: `rotations` (V, 3, 3), x_view = R x_rig, both x right, y down, z forward.

    `shots`: names of the images of each moment, in the order of the views; moments in order of time.
    """

    rotations: npt.NDArray[np.float64]
    shots: tuple[tuple[str, ...], ...]

    @property
    def reference(self) -> frozenset[str]:
        """Names of the images of the first view: one for each place of the camera."""
        return frozenset(shot[0] for shot in self.shots)


def write_views(path: Path, rotations: npt.NDArray[np.float64]) -> None:
    """`rig.json`: a unit wxyz quaternion for each view of `rotations` (V, 3, 3)."""
    views = [{"quaternion_wxyz": list(quaternion_of(rotation))} for rotation in rotations]
    path.write_text(json.dumps({"views": views}, indent=1) + "\n")


def read_views(path: Path) -> npt.NDArray[np.float64]:
    """(V, 3, 3) rotations of `rig.json`. Raises `InvalidArtifact` when it holds something else."""
    try:
        views = json.loads(path.read_text())["views"]
        quaternions = [[float(part) for part in view["quaternion_wxyz"]] for view in views]
        return np.array([rotation_of((w, x, y, z)) for w, x, y, z in quaternions]).reshape(-1, 3, 3)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidArtifact(f"{path}: no description of a camera rig ({error}); run keyframes again.") from error
