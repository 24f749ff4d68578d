"""What the keyframes say of how hard they are to match: the detail in a few of them, and how they move."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.artifacts.keyframes import Keyframes

Gray = npt.NDArray[np.uint8]

# Places of the capture that are looked at, evenly spread; each is a picture and, in a video, the next one.
PLACES = 8
# Corners followed from a picture to the next, and the longest side at which that is done, pixels.
CORNERS, FLOW_SIDE = 200, 320
# A corner was found again if tracking it back ends this near to where it began, pixels.
BACK_PX = 1.0


@dataclass(frozen=True)
class FrameStatistics:
    """Medians over the places looked at.

    side: the longest side of the pictures, pixels.
    detail: strength of the edges between pixels over that of edges twice as coarse: near 1 where the picture is as
        sharp as its pixels allow (Field, JOSA A 1987), towards 1/4 where it could be half as large and lose nothing.
    step: how far things move from a keyframe to the next, as a share of the longest side; None for photos.
    followed: share of the corners that are found again in the next keyframe; None for photos.
    """

    side: int
    detail: float
    step: float | None
    followed: float | None


def look_at(keyframes: Keyframes) -> FrameStatistics:
    """The statistics of an artifact's pictures; unreadable ones are left to feature extraction to name."""
    import cv2

    names = sorted(str(name) for name in keyframes.table()["name"])
    ordered = bool(keyframes.camera()["ordered"])
    places = np.unique(np.linspace(0, max(len(names) - 1 - ordered, 0), PLACES).round().astype(int))
    seen = []
    for place in places:
        pictures = [
            cv2.imread(str(keyframes.path("images", name)), cv2.IMREAD_GRAYSCALE)
            for name in names[place : place + 1 + ordered]
        ]
        if all(picture is not None for picture in pictures):
            seen.append(pictures)
    return summarise(seen)


def summarise(places: Sequence[Sequence[Any]]) -> FrameStatistics:
    """Of grey pictures (H, W), uint8: at each place one, or two that follow each other."""
    if not places:
        return FrameStatistics(0, 1.0, None, None)
    flows = [motion(pair[0], pair[1]) for pair in places if len(pair) == 2]
    return FrameStatistics(
        side=int(np.median([max(pictures[0].shape) for pictures in places])),
        detail=float(np.median([detail(pictures[0]) for pictures in places])),
        step=float(np.median([step for step, _ in flows])) if flows else None,
        followed=float(np.median([share for _, share in flows])) if flows else None,
    )


def detail(gray: Gray) -> float:
    """Edges between neighbouring pixels over those of the picture at half its size; the weaker of the two axes."""
    import cv2

    half = cv2.resize(gray, (max(1, gray.shape[1] // 2), max(1, gray.shape[0] // 2)), interpolation=cv2.INTER_AREA)
    return min(_edges(gray, axis) / max(_edges(half, axis), 1e-3) for axis in (0, 1))


def _edges(gray: npt.NDArray[Any], axis: int) -> float:
    return float(np.square(np.diff(gray.astype(np.float32), axis=axis)).mean())


def motion(first: Gray, second: Gray) -> tuple[float, float]:
    """(median displacement over the longest side, share of corners found again) between two pictures.

    Corners are followed forth and back (Kalal et al., "Forward-backward error", ICPR 2010); 0 found when there are
    none, and then the displacement is 1, as if nothing were shared.
    """
    import cv2

    scale = min(1.0, FLOW_SIDE / max(first.shape))
    size = max(16, round(scale * first.shape[1])), max(16, round(scale * first.shape[0]))
    before, after = (cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in (first, second))
    corners = cv2.goodFeaturesToTrack(before, CORNERS, 0.01, 5)
    if corners is None or len(corners) < 10:
        return 1.0, 0.0
    there, found, back, again = _there_and_back(before, after, corners)
    off = np.linalg.norm((back - corners).reshape(-1, 2), axis=1)
    kept = (found.ravel() > 0) & (again.ravel() > 0) & (off < BACK_PX)
    if not kept.any():
        return 1.0, 0.0
    moved = np.linalg.norm((there - corners).reshape(-1, 2)[kept], axis=1)
    return float(np.median(moved)) / max(size), float(kept.mean())


def _there_and_back(before: Any, after: Any, corners: Any) -> tuple[Any, Any, Any, Any]:
    import cv2

    options: dict[str, Any] = {"winSize": (15, 15), "maxLevel": 4}
    there, found, _ = cv2.calcOpticalFlowPyrLK(before, after, corners, None, **options)  # type: ignore[call-overload]
    back, again, _ = cv2.calcOpticalFlowPyrLK(after, before, there, None, **options)  # type: ignore[call-overload]
    return there, found, back, again
