"""What a user may tune about keyframe selection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class KeyframeSettings:
    """Lengths called "fraction" are relative to the image diagonal, so that they hold at any size.

    count: keyframes chosen from a video that shows enough, or photos used of a set. A path so long that its
        keyframes would lie further apart than `link_fraction` gets up to half as many again.
    max_size: longest side of the written images, pixels; smaller sources keep their size.
    jpeg_quality: of the written images.
    min_frames, min_duration_s: what the kept part of a capture must have at least.
    spacing_fraction: median image motion below which the next frame shows nothing new.
    link_fraction: image motion that structure from motion bridges with ease; beyond it even a soft frame is kept,
        for the poses only.
    soft: sharpness, relative to the sharp frames around, below which a frame is not trained on.
    min_motion_fraction: total motion below which the capture counts as static.
    min_parallax: residual motion after the best pure camera rotation, relative to the motion itself;
        below it the camera only turned.
    projection: of a video: "auto" believes its marks, "equirectangular" is 360° all around, "flat" never is.
    views_around, views_of_poles: of a 360° video, how many views of 90° every frame is cut into along the horizon, and
        whether one goes straight up and one straight down (where the camera man or the tripod stands).
    max_blur: Crété's blur measure (0 sharp, 1 blurred) above which the chosen frames count as soft.
    """

    count: int = 64
    max_size: int = 1024
    jpeg_quality: int = 95
    min_frames: int = 8
    min_duration_s: float = 1.0
    spacing_fraction: float = 0.006
    link_fraction: float = 0.12
    soft: float = 0.6
    min_motion_fraction: float = 0.02
    min_parallax: float = 0.02
    max_blur: float = 0.6
    projection: Literal["auto", "equirectangular", "flat"] = "auto"
    views_around: int = 6
    views_of_poles: bool = False
