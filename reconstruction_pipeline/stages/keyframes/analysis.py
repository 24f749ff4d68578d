"""First pass over a video: a row of numbers for every frame, no frame kept."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.artifacts.progress import Progress
from reconstruction_pipeline.kernels.parallax import parallax_ratio
from reconstruction_pipeline.stages.keyframes.decode import VideoReader
from reconstruction_pipeline.stages.keyframes.motion import MotionTracker
from reconstruction_pipeline.stages.keyframes.sharpness import FLAT_STD, sharpness

# Longest sides, pixels: blur of a pixel or two must survive the first, speed asks for the second.
SHARPNESS_SIZE = 640
MOTION_SIZE = 320
# Tracking more often than this tells nothing new about a hand-held camera.
MOTION_RATE_HZ = 15.0
DARK_MEAN = 8.0


@dataclass
class Analysis:
    """What the first pass found; arrays have one entry a decoded frame.

    `progress` is the image motion so far as a fraction of the diagonal (cuts add none), `scene` counts cuts.
    `parallax` is `parallax_ratio`, None where too little moved to tell. `trackable` and `textured` are the
    shares of motion steps that could be followed, and that held anything to follow.
    """

    times: npt.NDArray[np.float64]
    sharpness: npt.NDArray[np.float64]
    progress: npt.NDArray[np.float64]
    scene: npt.NDArray[np.int64]
    parallax: float | None
    trackable: float
    textured: float
    dark: float
    errors: int


@dataclass
class _Rows:
    times: list[float] = field(default_factory=list)
    sharpness: list[float] = field(default_factory=list)
    scene: list[int] = field(default_factory=list)
    dark: int = 0
    # Motion is sampled more sparsely: (frame, progress) knots, a new list of them per scene.
    knots: list[list[tuple[int, float]]] = field(default_factory=lambda: [[]])
    steps: int = 0
    tracked: int = 0
    textured: int = 0


def analyse(reader: VideoReader, expected_frames: int, rate_hz: float, progress: Progress) -> Analysis:
    """Score every frame of the video. Raises what the reader and `progress` raise."""
    rows, tracker = _Rows(), MotionTracker()
    trackers = [tracker]
    # By time, for rates that vary, and by count, for timestamps that are wrong.
    stride = max(1, round(rate_hz / MOTION_RATE_HZ))
    last_time, last_index = -np.inf, -stride
    for decoded in reader.grays(SHARPNESS_SIZE):
        gray = decoded.array
        rows.times.append(decoded.time_s)
        rows.sharpness.append(sharpness(gray))
        rows.dark += float(gray.mean()) < DARK_MEAN or float(gray.std()) < FLAT_STD
        if decoded.index - last_index >= stride or decoded.time_s - last_time >= 1.0 / MOTION_RATE_HZ:
            last_time, last_index = decoded.time_s, decoded.index
            if _step(rows, tracker, gray, decoded.index):
                tracker = MotionTracker()
                tracker.update(_small(gray))
                trackers.append(tracker)
        rows.scene.append(len(rows.knots) - 1)
        if decoded.index % 16 == 0:
            progress.report("keyframes", decoded.index, max(expected_frames, decoded.index), "measuring frames")
    for each in trackers:
        each.finish()
    residuals = [r for each in trackers for r in each.residuals]
    motions = [m for each in trackers for m in each.motions]
    return Analysis(
        np.array(rows.times),
        np.array(rows.sharpness),
        _interpolated(rows),
        np.array(rows.scene, np.int64),
        parallax_ratio(residuals, motions),
        rows.tracked / max(rows.steps, 1),
        rows.textured / max(rows.steps, 1),
        rows.dark / max(len(rows.times), 1),
        reader.errors,
    )


def _small(gray: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    scale = min(1.0, MOTION_SIZE / max(gray.shape))
    return cv2.resize(gray, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


def _step(rows: _Rows, tracker: MotionTracker, gray: npt.NDArray[np.uint8], index: int) -> bool:
    """Advance the motion; true when a new scene begins with this frame."""
    small = _small(gray)
    motion = tracker.update(small)
    rows.steps += 1
    rows.tracked += motion.tracked > 0.3
    rows.textured += motion.textured
    if motion.cut:
        rows.knots.append([(index, 0.0)])
        return True
    knots = rows.knots[-1]
    fraction = motion.step_px / float(np.hypot(*small.shape))
    if not knots or fraction > 0:
        knots.append((index, (knots[-1][1] if knots else 0.0) + fraction))
    return False


def _interpolated(rows: _Rows) -> npt.NDArray[np.float64]:
    scenes = np.array(rows.scene)
    result = np.zeros(len(scenes))
    for scene, knots in enumerate(rows.knots):
        mask = scenes == scene
        if knots and mask.any():
            xs, ys = np.array(knots).T
            result[mask] = np.interp(np.flatnonzero(mask), xs, ys)
    return result
