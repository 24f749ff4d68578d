"""First pass over a video: a row of numbers for every frame, no frame kept."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.artifacts.progress import Progress
from reconstruction_pipeline.kernels.parallax import parallax_ratio
from reconstruction_pipeline.stages.keyframes.decode import VideoReader
from reconstruction_pipeline.stages.keyframes.motion import FOLLOWED, MotionTracker, Span, match_frames
from reconstruction_pipeline.stages.keyframes.motion_geometry import AllAround, Flat, Geometry, band_of
from reconstruction_pipeline.stages.keyframes.sharpness import FLAT_STD, sharpness

Array = npt.NDArray[np.float64]

# Longest sides, pixels: blur of a pixel or two must survive the first, speed asks for the second.
SHARPNESS_SIZE = 640
MOTION_SIZE = 320
# Panoramas spread the same pixels over a far wider view.
PANORAMA_SHARPNESS_SIZE, PANORAMA_MOTION_SIZE = 1280, 640
# Tracking more often than this tells nothing new about a hand-held camera.
MOTION_RATE_HZ = 15.0
# Mean grey level of a frame that counts as black; level a pixel must reach to count as burnt out.
BLACK_MEAN = 8.0
BURNT_LEVEL = 250
# Scenes a returning one is looked for in, and how many there may be before that ends (an edited film, noise).
REMEMBERED_SCENES, MANY_SCENES = 8, 40


@dataclass
class Samples:
    """What was measured at the frames whose motion was measured; one entry each.

    `tracked`: share of the points found again; `textured`: whether there was anything to follow; `mean` and `burnt`:
    mean grey level (0..255) and share of burnt-out pixels; `black`: black or a flat colour.
    """

    frame: npt.NDArray[np.int64]
    tracked: Array
    textured: npt.NDArray[np.bool_]
    mean: Array
    burnt: Array
    black: npt.NDArray[np.bool_]

    @property
    def followed(self) -> float:
        """Share of the frames that could be followed from the one before."""
        return float((self.tracked[1:] > FOLLOWED).mean()) if len(self.tracked) > 1 else 0.0


@dataclass
class Analysis:
    """What the first pass found; `times`, `sharpness`, `progress` and `scene` have one entry a decoded frame.

    `progress` is the image motion so far as a fraction of the diagonal (cuts add none), `scene` numbers the scenes.
    `spans` are motions with their parallax; their `first` and `last` are frames. `errors` counts damaged packets.
    """

    times: Array
    sharpness: Array
    progress: Array
    scene: npt.NDArray[np.int64]
    samples: Samples
    spans: list[Span] = field(default_factory=list)
    errors: int = 0

    def spans_of(self, scene: int) -> list[Span]:
        """Those within the scene."""
        return [span for span in self.spans if self.scene[span.first] == self.scene[span.last] == scene]

    def parallax(self, scene: int) -> float | None:
        """`parallax_ratio` of the scene; None where too little moved to tell."""
        spans = self.spans_of(scene)
        return parallax_ratio([span.residuals for span in spans], [span.motion_px for span in spans])


@dataclass
class _Rows:
    times: list[float] = field(default_factory=list)
    sharpness: list[float] = field(default_factory=list)
    scene: list[int] = field(default_factory=list)
    samples: list[tuple[int, float, bool, float, float, bool]] = field(default_factory=list)
    # Motion is sampled more sparsely: (frame, progress) knots, and the last frame with texture, by scene.
    knots: list[list[tuple[int, float]]] = field(default_factory=lambda: [[]])
    last: list[npt.NDArray[np.uint8] | None] = field(default_factory=lambda: [None])
    current: int = 0


def analyse(
    reader: VideoReader, expected_frames: int, rate_hz: float, progress: Progress, all_around: bool = False
) -> Analysis:
    """Score every frame of the video; `all_around` for panoramas. Raises what the reader and `progress` raise."""
    geometry: Geometry = AllAround() if all_around else Flat()
    rows, tracker = _Rows(), MotionTracker(geometry)
    # By time, for rates that vary, and by count, for timestamps that are wrong.
    stride = max(1, round(rate_hz / MOTION_RATE_HZ))
    last_time, last_index = -np.inf, -stride
    for decoded in reader.grays(PANORAMA_SHARPNESS_SIZE if all_around else SHARPNESS_SIZE):
        gray = band_of(decoded.array) if all_around else decoded.array
        rows.times.append(decoded.time_s)
        rows.sharpness.append(sharpness(gray))
        if decoded.index - last_index >= stride or decoded.time_s - last_time >= 1.0 / MOTION_RATE_HZ:
            last_time, last_index = decoded.time_s, decoded.index
            _sample(rows, tracker, gray, decoded.index)
        rows.scene.append(rows.current)
        if decoded.index % 16 == 0:
            progress.report("keyframes", decoded.index, max(expected_frames, decoded.index), "measuring frames")
    tracker.finish()
    columns = list(zip(*rows.samples, strict=True)) or [()] * 6
    frame = np.array(columns[0], np.int64)
    return Analysis(
        np.array(rows.times),
        np.array(rows.sharpness),
        _interpolated(rows),
        np.array(rows.scene, np.int64),
        Samples(
            frame,
            np.array(columns[1], float),
            np.array(columns[2], bool),
            np.array(columns[3], float),
            np.array(columns[4], float),
            np.array(columns[5], bool),
        ),
        [Span(int(frame[s.first]), int(frame[s.last]), s.motion_px, s.residuals) for s in tracker.spans],
        reader.errors,
    )


def _small(gray: npt.NDArray[np.uint8], size: int) -> npt.NDArray[np.uint8]:
    scale = min(1.0, size / max(gray.shape))
    return cv2.resize(gray, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


def _sample(rows: _Rows, tracker: MotionTracker, gray: npt.NDArray[np.uint8], index: int) -> None:
    """Advance the motion to the frame `index`, and the scenes where it cuts."""
    geometry = tracker.geometry
    small = _small(gray, MOTION_SIZE if isinstance(geometry, Flat) else PANORAMA_MOTION_SIZE)
    motion = tracker.update(small)
    mean, deviation = (float(value[0, 0]) for value in cv2.meanStdDev(small))
    burnt = float(np.count_nonzero(small >= BURNT_LEVEL)) / small.size
    black = mean < BLACK_MEAN or deviation < FLAT_STD
    rows.samples.append((index, motion.tracked, motion.textured, mean, burnt, black))
    fraction = motion.step_px / geometry.diagonal(small.shape)
    if motion.cut:
        rows.current, jump = _scene_of(rows, small)
        fraction = jump / geometry.diagonal(small.shape)
    knots = rows.knots[rows.current]
    if not knots or fraction > 0 or motion.cut:
        knots.append((index, (knots[-1][1] if knots else 0.0) + fraction))
    if motion.textured:
        rows.last[rows.current] = small


def _scene_of(rows: _Rows, small: npt.NDArray[np.uint8]) -> tuple[int, float]:
    """(scene that a frame after a cut belongs to, pixels it moved since): an earlier one that it matches, or a new one.

    So that a hand before the lens, or a shot cut in between, does not split a scene.
    """
    newest = len(rows.knots) - 1
    for scene in range(newest, max(newest - REMEMBERED_SCENES, -1), -1) if newest < MANY_SCENES else ():
        last = rows.last[scene]
        if scene == rows.current or last is None or last.shape != small.shape:
            continue
        shift, _ = match_frames(last, small)
        if shift is not None:
            return scene, shift
    rows.knots.append([])
    rows.last.append(None)
    return len(rows.knots) - 1, 0.0


def _interpolated(rows: _Rows) -> Array:
    scenes = np.array(rows.scene)
    result = np.zeros(len(scenes))
    for scene, knots in enumerate(rows.knots):
        mask = scenes == scene
        if knots and mask.any():
            xs, ys = np.array(knots).T
            result[mask] = np.interp(np.flatnonzero(mask), xs, ys)
    return result
