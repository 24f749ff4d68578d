"""Image motion from frame to frame by tracking corners (KLT), with cuts told from fast movements."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.stages.keyframes.motion_geometry import Flat, Geometry, Points, shift_of

Gray = npt.NDArray[np.uint8]

MAX_CORNERS = 200
MIN_TRACKS = 12
# Of the minimal eigenvalue of 8-bit images; compression noise on a flat field lies a hundred times lower.
MIN_CORNER_RESPONSE = 2e-4
LK: dict[str, Any] = {"winSize": (15, 15), "maxLevel": 3}
# Displacements below this many pixels are tracking noise, not motion.
STEP_PX = 1.0
# An anchor is given up, and its parallax measured, once its points moved this part of the diagonal.
ANCHOR_FRACTION = 0.12
# Below this share of points found again, a frame was not followed from the one before.
FOLLOWED = 0.3


@dataclass(frozen=True)
class Motion:
    """What one step said: `step_px` newly covered, `tracked` share of points, `cut` if a new scene began."""

    step_px: float = 0.0
    tracked: float = 0.0
    textured: bool = False
    cut: bool = False


@dataclass(frozen=True)
class Span:
    """Motion between two updates (`first`, `last`) that were joined by tracks.

    `motion_px` is the median displacement, `residuals` what the best pure rotations leave of it, one a focal length
    (`kernels.parallax`).
    """

    first: int
    last: int
    motion_px: float
    residuals: npt.NDArray[np.float64]


@dataclass
class MotionTracker:
    """Follows corners through small grey frames; memory is a few frames and a few hundred points.

    Motion is counted from milestones that are a pixel or more apart, so that jitter of a camera on a
    tripod, or of the tracker, does not add up over a long video.
    """

    geometry: Geometry = field(default_factory=Flat)
    spans: list[Span] = field(default_factory=list)
    _count: int = -1
    _gray: Gray | None = None
    _textured: Gray | None = None
    _now: Points = field(default_factory=lambda: np.zeros((0, 2), np.float32))
    _milestone: Points = field(default_factory=lambda: np.zeros((0, 2), np.float32))
    _anchor: Points = field(default_factory=lambda: np.zeros((0, 2), np.float32))
    _anchored_at: int = 0
    _started_with: int = 0

    def update(self, gray: Gray) -> Motion:
        """Take the next frame (H, W)."""
        previous, self._gray = self._gray, gray
        self._count += 1
        motion = self._step(previous, gray)
        if motion.textured:
            self._textured = gray
        return motion

    def finish(self) -> None:
        """Measure what the last anchor saw."""
        if self._gray is not None:
            self._measure_anchor(self._gray, last=True)

    def _step(self, previous: Gray | None, gray: Gray) -> Motion:
        if previous is None or previous.shape != gray.shape:
            self._restart(gray, self._count)
            return Motion(textured=self._started_with >= MIN_TRACKS)
        if len(self._now) < MIN_TRACKS:
            self._restart(previous, self._count - 1)
        if len(self._now) < MIN_TRACKS:
            return self._resume(gray)
        before = len(self._now)
        self._follow(previous, gray)
        tracked = len(self._now) / before
        if len(self._now) < MIN_TRACKS or tracked < FOLLOWED:
            return self._recover(previous, gray, tracked)
        step = self.geometry.progress(self._milestone, self._now, gray.shape)
        if step < STEP_PX:
            step = 0.0
        else:
            self._milestone = self._now.copy()
        self._measure_anchor(gray)
        return Motion(step, tracked, True)

    def _follow(self, previous: Gray, gray: Gray) -> None:
        start = self._now[:, None]
        ahead: Any
        # OpenCV makes the outputs itself when given None; its type stubs do not know.
        none: Any = None
        ahead, found, _ = cv2.calcOpticalFlowPyrLK(previous, gray, start, none, **LK)
        back, returned, _ = cv2.calcOpticalFlowPyrLK(gray, previous, ahead, none, **LK)
        good = (found[:, 0] > 0) & (returned[:, 0] > 0)
        good &= np.linalg.norm((start - back)[:, 0], axis=1) < 0.7
        self._now = ahead[good, 0]
        self._milestone, self._anchor = self._milestone[good], self._anchor[good]

    def _recover(self, previous: Gray, gray: Gray, tracked: float) -> Motion:
        """Tracks were lost: a jump within the scene, a new scene, or frames that hold nothing to follow."""
        shift, certain = match_frames(previous, gray)
        self._restart(gray, self._count)
        textured = self._started_with >= MIN_TRACKS
        return Motion(shift or 0.0, tracked, textured, shift is None and certain)

    def _resume(self, gray: Gray) -> Motion:
        """The frame before held nothing to follow (black, a covered lens); this one may hold something again."""
        self._restart(gray, self._count)
        if self._started_with < MIN_TRACKS:
            return Motion()
        if self._textured is None or self._textured.shape != gray.shape:
            return Motion(textured=True)
        shift, certain = match_frames(self._textured, gray)
        return Motion(shift or 0.0, 0.0, True, shift is None and certain)

    def _measure_anchor(self, gray: Gray, last: bool = False) -> None:
        shift = self.geometry.shift(self._anchor, self._now, gray.shape)
        far = shift > ANCHOR_FRACTION * self.geometry.diagonal(gray.shape)
        worn = len(self._now) < max(MIN_TRACKS, self._started_with // 2)
        if not (far or worn or last):
            return
        if len(self._now) >= MIN_TRACKS and shift > 5 * STEP_PX:
            residuals = self.geometry.residuals(self._anchor, self._now, gray.shape)
            self.spans.append(Span(self._anchored_at, self._count, shift, residuals))
        if not last:
            self._restart(gray, self._count)

    def _restart(self, gray: Gray, at: int) -> None:
        response = float(cv2.cornerMinEigenVal(gray, 3).max())
        corners = None
        if response > MIN_CORNER_RESPONSE:
            corners = cv2.goodFeaturesToTrack(gray, MAX_CORNERS, max(0.01, MIN_CORNER_RESPONSE / response), 8)
        self._now = np.zeros((0, 2), np.float32) if corners is None else np.asarray(corners[:, 0], np.float32)
        # A restart loses the part of a step since the last milestone: at most one pixel.
        self._milestone, self._anchor = self._now.copy(), self._now.copy()
        self._started_with, self._anchored_at = len(self._now), at


def match_frames(first: Gray, second: Gray) -> tuple[float | None, bool]:
    """(median displacement in pixels, None when they do not match; whether that can be said at all).

    It can be said when both frames have plenty of features: absence of evidence in blurred frames is no
    evidence of another scene.
    """
    sift = cv2.SIFT_create(nfeatures=800, contrastThreshold=0.02)  # type: ignore[attr-defined]
    points_a, a = sift.detectAndCompute(first, None)
    points_b, b = sift.detectAndCompute(second, None)
    if a is None or b is None or min(len(points_a), len(points_b)) < 60:
        return None, False
    pairs = [m[0] for m in cv2.BFMatcher().knnMatch(a, b, k=2) if len(m) == 2 and m[0].distance < 0.75 * m[1].distance]
    if len(pairs) >= 8:
        xy_a = np.array([points_a[m.queryIdx].pt for m in pairs], np.float32)
        xy_b = np.array([points_b[m.trainIdx].pt for m in pairs], np.float32)
        _, inliers = cv2.findHomography(xy_a, xy_b, cv2.RANSAC, 4.0)
        if inliers is not None and int(inliers.sum()) >= 12:
            return shift_of(xy_a[inliers[:, 0] > 0], xy_b[inliers[:, 0] > 0]), True
    return None, True
