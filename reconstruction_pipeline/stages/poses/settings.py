"""What a user may tune about camera poses."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from reconstruction_pipeline.external.stage import ExternalStage


@dataclass(frozen=True)
class PoseSettings:
    """camera_model: COLMAP's name; one camera is shared by all images of a size and focal length.

    feature_type: "SIFT"; learned features need a COLMAP built with ONNX.
    features: most SIFT features per picture on the first try. photo_features: the same for photos alone, which are
        compared with many others.
    feature_scale: of the pictures that features are looked for in, on the first try; 0.5 leaves out the finest octave.
    overlap: in a video, how many following frames each frame is matched with on the first try.
        Each of these four is chosen from the frames where it is None (`first_try.py`).
    exhaustive_up_to: photo sets up to this size match every pair, larger ones the most similar pairs.
    similar: how many most similar images each photo (a quarter as many for video frames, to close loops)
        is matched with.
    max_size: longest side of the undistorted images, pixels; they are never enlarged.
    jpeg_quality: of the undistorted images.
    min_observations: images that see fewer points are dropped by name.
    retry_below: registered share below which the next rung of the ladder is tried.
    camera_height_m: how high the camera was held over the ground or table it saw, metres (its median).
    known_distance: (place, place, metres between them); a place is where the camera was at a keyframe, a photo or a
        moment of the video ("12.5s").
    path_length_m: length of the way from the first keyframe to the last, metres; videos only.
        At most one of these three; each makes the scene metric, and goes before the scale of GPS.
    given_poses: "use" those that came with the capture, refined by nothing and judged by the same gates, or "ignore".
    use_gps: whether GPS positions that came with the capture place the scene in metres, east, down and north.
    external: a program that is not ours, tried after COLMAP's own rungs; with `external_only` in their place.
    turntable: the capture is of a thing on a turntable before a camera that does not move: features that stand still
        are left out, and where all else fails, cameras on a circle are where the adjustment starts.
    threads: 0 for all cores. time_limit_s: for all of COLMAP's work together.
    """

    camera_model: str = "SIMPLE_RADIAL"
    feature_type: str = "SIFT"
    features: int | None = None
    photo_features: int | None = None
    feature_scale: float | None = None
    overlap: int | None = None
    exhaustive_up_to: int = 60
    similar: int = 16
    max_size: int = 1024
    jpeg_quality: int = 95
    min_observations: int = 50
    retry_below: float = 0.8
    camera_height_m: float | None = None
    known_distance: tuple[str, str, float] | None = None
    path_length_m: float | None = None
    given_poses: Literal["use", "ignore"] = "use"
    use_gps: bool = True
    external: ExternalStage | None = None
    external_only: bool = False
    turntable: bool = False
    threads: int = 0
    time_limit_s: float = 3600.0
    seed: int = 0

    def thread_count(self) -> int:
        """`threads`, or as many as this process may use."""
        if self.threads:
            return self.threads
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
