"""The ground truth beside the video, and its form on disk."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reconstruction_pipeline.artifacts.errors import InvalidArtifact
from reconstruction_pipeline.sample.variants import Variant, variant

VIDEO, TRUTH, SUMMARY, MESH_PLY, MESH_GLB = "video.mp4", "truth.npz", "sample.json", "mesh.ply", "mesh.glb"


@dataclass(frozen=True)
class Intrinsics:
    """A pinhole camera in pixels; the centre of the first pixel is at (0.5, 0.5); no distortion."""

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float

    @property
    def matrix(self) -> NDArray[np.float64]:
        """The (3, 3) camera matrix."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1.0]])


@dataclass(frozen=True)
class Frames:
    """Per frame of the video, at mid-exposure.

    `timestamps` (f,) seconds, equal to the presentation times; `rotations` (f, 3, 3) and `translations` (f, 3) world
    to camera, metres, world y-down; `exposures` (f,) the factor on the light; `blur_px` (f,) the 90th percentile over
    the picture of how far the content moves while the shutter is open.
    """

    timestamps: NDArray[np.float64]
    rotations: NDArray[np.float64]
    translations: NDArray[np.float64]
    exposures: NDArray[np.float64]
    blur_px: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.timestamps)

    @property
    def centers(self) -> NDArray[np.float64]:
        """Camera centres (f, 3) in the world, metres."""
        return -np.einsum("fij,fi->fj", self.rotations, self.translations)


@dataclass(frozen=True)
class SampleCapture:
    """A sample video with its ground truth, in one folder.

    `summary` holds plain numbers: version, seed, variant, size, `blur_px_p90`, `exposure_min`, `exposure_max`
    (relative to their mean), `path_extent_m`, `frames_sha256` (of the frames before encoding).
    """

    folder: Path
    summary: dict[str, Any]
    intrinsics: Intrinsics
    frames: Frames

    @classmethod
    def load(cls, folder: Path) -> SampleCapture:
        """Opens a folder that `make_sample` wrote; raises `InvalidArtifact` if anything is missing or damaged."""
        try:
            summary = json.loads((folder / SUMMARY).read_text())
            missing = [name for name in (VIDEO, TRUTH, MESH_PLY, MESH_GLB) if not (folder / name).is_file()]
            if missing:
                raise FileNotFoundError(", ".join(missing))
            with np.load(folder / TRUTH) as truth:
                frames = Frames(
                    *(truth[name] for name in ("timestamps", "rotations", "translations", "exposures", "blur_px"))
                )
            return cls(folder, summary, Intrinsics(**summary["intrinsics"]), frames)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InvalidArtifact(
                f"{folder}: not a whole sample capture ({error}); remove it and make it again"
            ) from error

    @property
    def video(self) -> Path:
        """The H.264 file."""
        return self.folder / VIDEO

    @property
    def mesh_path(self) -> Path:
        """The scene's surface in the world frame (y-down, metres), PLY with sRGB vertex colours."""
        return self.folder / MESH_PLY

    @property
    def mesh_glb_path(self) -> Path:
        """The same surface as glTF wants it: y-up, linear vertex colours."""
        return self.folder / MESH_GLB

    @property
    def variant(self) -> Variant:
        """The settings it was made with."""
        return variant(self.summary["variant"])

    def depth(self, index: int) -> NDArray[np.float32]:
        """Depth (height, width) in metres along the camera's z, of frame `index` at mid-exposure; 0: nothing seen."""
        return self._renderer.depth((self.frames.rotations[index], self.frames.translations[index]))

    def images(self) -> Iterator[NDArray[np.uint8]]:
        """The decoded video, frame by frame, (height, width, 3) sRGB."""
        import av

        with av.open(str(self.video)) as container:
            for frame in container.decode(video=0):
                yield frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False)

    @cached_property
    def _renderer(self) -> Any:
        from reconstruction_pipeline.sample.render.frame import Renderer
        from reconstruction_pipeline.sample.render.triangles import bare

        with np.load(self.folder / TRUTH) as truth:
            return Renderer(bare(truth["vertices"], truth["faces"]), self.variant)
