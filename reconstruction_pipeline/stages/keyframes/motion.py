"""Image motion from frame to frame by tracking corners (KLT), with cuts told from fast movements."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.kernels.parallax import rotation_residuals

Gray = npt.NDArray[np.uint8]
Points = npt.NDArray[np.float32]

MAX_CORNERS = 200
MIN_TRACKS = 12
# Of the minimal eigenvalue of 8-bit images; compression noise on a flat field lies a hundred times lower.
MIN_CORNER_RESPONSE = 2e-4
LK: dict[str, Any] = {"winSize": (15, 15), "maxLevel": 3}
# Displacements below this many pixels are tracking noise, not motion.
STEP_PX = 1.0
# An anchor is given up, and its parallax measured, once its points moved this part of the diagonal.
ANCHOR_FRACTION = 0.12


@dataclass
class Motion:
    """What one step said: `step_px` newly covered, `tracked` share of points, `cut` if a new scene began."""

    step_px: float = 0.0
    tracked: float = 0.0
    textured: bool = False
    cut: bool = False


@dataclass
class MotionTracker:
    """Follows corners through small grey frames; memory is two frames and a few hundred points.

    Motion is counted from milestones that are a pixel or more apart, so that jitter of a camera on a
    tripod, or of the tracker, does not add up over a long video.
    """

    residuals: list[npt.NDArray[np.float64]] = field(default_factory=list)
    motions: list[float] = field(default_factory=list)
    _gray: Gray | None = None
    _now: Points = field(default_factory=lambda: np.zeros((0, 2), np.float32))
    _milestone: Points = field(default_factory=lambda: np.zeros((0, 2), np.float32))
    _anchor: Points = field(default_factory=lambda: np.zeros((0, 2), np.float32))
    _started_with: int = 0

    def update(self, gray: Gray) -> Motion:
        """Take the next frame (H, W)."""
        previous, self._gray = self._gray, gray
        if previous is None or previous.shape != gray.shape:
            self._restart(gray)
            return Motion(textured=self._started_with >= MIN_TRACKS)
        if len(self._now) < MIN_TRACKS:
            self._restart(previous)
        if len(self._now) < MIN_TRACKS:
            return Motion()
        before = len(self._now)
        self._follow(previous, gray)
        tracked = len(self._now) / before
        if len(self._now) < MIN_TRACKS or tracked < 0.3:
            return self._recover(previous, gray, tracked)
        step = _median_shift(self._milestone, self._now)
        if step < STEP_PX:
            step = 0.0
        else:
            self._milestone = self._now.copy()
        self._measure_anchor(gray)
        return Motion(step, tracked, True)

    def finish(self) -> None:
        """Measure what the last anchor saw."""
        if self._gray is not None:
            self._measure_anchor(self._gray, last=True)

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
        jump, cut = _match_across(previous, gray)
        self._restart(gray)
        return Motion(jump, tracked, self._started_with >= MIN_TRACKS, cut)

    def _measure_anchor(self, gray: Gray, last: bool = False) -> None:
        height, width = gray.shape
        shift = _median_shift(self._anchor, self._now)
        far = shift > ANCHOR_FRACTION * float(np.hypot(width, height))
        worn = len(self._now) < max(MIN_TRACKS, self._started_with // 2)
        if not (far or worn or last):
            return
        if len(self._now) >= MIN_TRACKS and shift > 5 * STEP_PX:
            self.residuals.append(
                rotation_residuals(self._anchor.astype(float), self._now.astype(float), width, height)
            )
            self.motions.append(shift)
        if not last:
            self._restart(gray)

    def _restart(self, gray: Gray) -> None:
        response = float(cv2.cornerMinEigenVal(gray, 3).max())
        corners = None
        if response > MIN_CORNER_RESPONSE:
            corners = cv2.goodFeaturesToTrack(gray, MAX_CORNERS, max(0.01, MIN_CORNER_RESPONSE / response), 8)
        self._now = np.zeros((0, 2), np.float32) if corners is None else np.asarray(corners[:, 0], np.float32)
        # A restart loses the part of a step since the last milestone: at most one pixel.
        self._milestone, self._anchor = self._now.copy(), self._now.copy()
        self._started_with = len(self._now)


def _median_shift(before: Points, after: Points) -> float:
    return float(np.median(np.linalg.norm(after - before, axis=1))) if len(before) else 0.0


def _match_across(previous: Gray, gray: Gray) -> tuple[float, bool]:
    """(median displacement in pixels, whether it is a cut) between frames that tracking could not join.

    A cut is claimed only when both frames have plenty of features and they do not match: absence of
    evidence in blurred frames is no evidence of a new scene.
    """
    sift = cv2.SIFT_create(nfeatures=800, contrastThreshold=0.02)  # type: ignore[attr-defined]
    points_a, a = sift.detectAndCompute(previous, None)
    points_b, b = sift.detectAndCompute(gray, None)
    if a is None or b is None or min(len(points_a), len(points_b)) < 60:
        return 0.0, False
    pairs = [m[0] for m in cv2.BFMatcher().knnMatch(a, b, k=2) if len(m) == 2 and m[0].distance < 0.75 * m[1].distance]
    if len(pairs) >= 8:
        xy_a = np.array([points_a[m.queryIdx].pt for m in pairs], np.float32)
        xy_b = np.array([points_b[m.trainIdx].pt for m in pairs], np.float32)
        _, inliers = cv2.findHomography(xy_a, xy_b, cv2.RANSAC, 4.0)
        good = inliers is not None and int(inliers.sum()) >= 12
        if good:
            return _median_shift(xy_a[inliers[:, 0] > 0], xy_b[inliers[:, 0] > 0]), False
    return 0.0, True
