"""The captured cameras as the viewer's start and timeline.

The viewer turns every splat file by 180 degrees about Z, from y-down to y-up: points become (-x, -y, z). Its
cameras are a position and a target with the horizon level, so a hand-held camera's roll is not shown.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.artifacts.colmap import ColmapModel

Array = npt.NDArray[np.float64]

TO_VIEWER = np.array([-1.0, -1.0, 1.0])
FRAME_RATE = 30
MAX_KEYFRAMES = 200  # the viewer allows 1000
SECONDS_PER_KEYFRAME = 0.5
DURATION_S = (5.0, 60.0)


@dataclass(frozen=True)
class CameraPath:
    """K keyframes in the viewer's world (y-up).

    `positions`, `targets` (K, 3); `half_tangents` (K, 2) of half the field of view in x and y;
    `times` (K,) ascending, in frames at `FRAME_RATE`. `start` is the keyframe that shows the scene first.
    """

    positions: Array
    targets: Array
    half_tangents: Array
    times: Array
    start: int = 0

    @property
    def start_s(self) -> float:
        """When the timeline passes the keyframe `start`."""
        return float(self.times[self.start]) / FRAME_RATE

    @property
    def duration_s(self) -> float:
        """Length of the timeline."""
        return float(self.times[-1]) / FRAME_RATE


def captured_path(model: ColmapModel) -> CameraPath:
    """The model's cameras in the order of the capture (name order, or a short tour when that jumps about)."""
    order = tour(model.centers)
    if len(order) > MAX_KEYFRAMES:
        order = order[np.linspace(0, len(order) - 1, MAX_KEYFRAMES).round().astype(int)]
    images = [model.images[i] for i in order]
    depths = focus_depths(model)[order]
    positions = np.array([image.center for image in images])
    forwards = np.array([image.rotation[2] for image in images])
    tangents = []
    for image in images:
        camera = model.cameras[image.camera_id]
        fx, fy, _, _ = camera.pinhole()
        tangents.append((0.5 * camera.width / fx, 0.5 * camera.height / fy))
    targets = positions + forwards * depths[:, None]
    return CameraPath(
        positions * TO_VIEWER,
        targets * TO_VIEWER,
        np.array(tangents),
        _times(positions, targets, float(np.median(depths))),
        int(np.argmax(view_scores(model)[order])),
    )


def view_scores(model: ColmapModel) -> Array:
    """(images,) how well each captured view introduces the scene: it shows much of it, and is level.

    The share of sparse points that it sees, of the most that any image sees, less twice the sine of its roll.
    """
    seen = np.array([len(image.point_rows) for image in model.images], float)
    # The picture's rows are level where the camera's x axis has nothing of the vertical.
    roll = np.abs([image.rotation[0, 1] for image in model.images])
    scores: Array = seen / max(seen.max(initial=0.0), 1.0) - 2.0 * roll
    return scores


def focus_depths(model: ColmapModel) -> Array:
    """(images,) how far each camera looks, world units: the median depth of the points it sees.

    Kept within a factor of two of the scene's median; cameras that see few points take that median. Without
    points, the distance to where the optical axes come closest to each other.
    """
    depths = np.full(len(model.images), np.nan)
    for row, image in enumerate(model.images):
        z = model.xyz[image.point_rows] @ image.rotation[2] + image.translation[2]
        z = z[z > 0]
        if len(z) >= 5:
            depths[row] = np.median(z)
    typical = float(np.nanmedian(depths)) if np.isfinite(depths).any() else _axes_distance(model)
    return np.clip(np.nan_to_num(depths, nan=typical), 0.5 * typical, 2.0 * typical)


def tour(centers: Array) -> npt.NDArray[np.intp]:
    """The given order, or a nearest-neighbour walk from the first when that is less than half as long.

    Frames of a video come in the order of the path. Photos may come in any; flying through them by name
    would jump across the scene.
    """
    given = np.arange(len(centers))
    left = list(range(1, len(centers)))
    walk = [0]
    while left:
        nearest = left[int(np.argmin(np.linalg.norm(centers[left] - centers[walk[-1]], axis=1)))]
        left.remove(nearest)
        walk.append(nearest)
    walked = np.array(walk, dtype=np.intp)
    return walked if _length(centers[walked]) < 0.5 * _length(centers) else given


def _length(points: Array) -> float:
    return float(np.linalg.norm(np.diff(points, axis=0), axis=1).sum())


def _times(positions: Array, targets: Array, depth: float) -> Array:
    """Frames at which the keyframes are passed, so that the picture moves at an even pace."""
    if len(positions) == 1:
        return np.array([FRAME_RATE * DURATION_S[0]])
    motion = np.linalg.norm(np.diff(positions, axis=0), axis=1) + np.linalg.norm(np.diff(targets, axis=0), axis=1)
    motion = np.maximum(motion / depth, 1e-3)
    # Half by motion and half by count: a pause of the camera stays a (short) pause.
    steps = motion / motion.sum() + 1.0 / len(motion)
    duration = np.clip(SECONDS_PER_KEYFRAME * len(positions), *DURATION_S)
    return np.concatenate([[0.0], np.cumsum(steps)]) / steps.sum() * duration * FRAME_RATE


def _axes_distance(model: ColmapModel) -> float:
    """Mean distance from the cameras to the point nearest to all optical axes; 1 where they are parallel."""
    forwards = np.array([image.rotation[2] for image in model.images])
    projectors = np.eye(3) - forwards[:, :, None] * forwards[:, None, :]
    normal = projectors.sum(axis=0)
    if np.linalg.cond(normal) > 1e6:
        return 1.0
    point = np.linalg.solve(normal, np.einsum("nij,nj->i", projectors, model.centers))
    return max(float(np.linalg.norm(model.centers - point, axis=1).mean()), 1e-6)
