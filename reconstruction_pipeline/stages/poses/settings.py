"""What a user may tune about camera poses."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PoseSettings:
    """camera_model: COLMAP's name; one camera is shared by all images of a size and focal length.

    features: most SIFT features per image on the first try.
    overlap: in a video, how many following frames each frame is matched with.
    exhaustive_up_to: photo sets up to this size match every pair, larger ones the most similar pairs.
    similar: how many most similar images each photo (a quarter as many for video frames, to close loops)
        is matched with.
    max_size: longest side of the undistorted images, pixels; they are never enlarged.
    jpeg_quality: of the undistorted images.
    min_observations: images that see fewer points are dropped by name.
    retry_below: registered share below which the second, slower rung is tried.
    threads: 0 for all cores. time_limit_s: for all of COLMAP's work together.
    """

    camera_model: str = "SIMPLE_RADIAL"
    features: int = 2500
    overlap: int = 8
    exhaustive_up_to: int = 60
    similar: int = 20
    max_size: int = 1024
    jpeg_quality: int = 95
    min_observations: int = 50
    retry_below: float = 0.8
    threads: int = 0
    time_limit_s: float = 3600.0
    seed: int = 0
