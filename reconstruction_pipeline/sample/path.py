"""The hand-held camera path: one slow-starting loop in front of the furniture, with a walker's sway and shake."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reconstruction_pipeline.sample.variants import Variant

Vector = NDArray[np.float64]

_CENTER = np.array([-0.02, -1.42, -1.0])  # world frame: y down, z into the room; the eye is 1.42 m above the floor
_HALF = np.array([1.02, 0.26, 0.32])  # half extents of the loop, metres
_TARGET = np.array([0.02, -0.77, 1.45])
_SWAY_M = 0.006
_SHAKE_DEG = 0.28
_JOLT, _REST = 8.0, 0.1  # times the usual shake and sway


@dataclass(frozen=True)
class CameraPath:
    """A continuous path over `seconds`; `pose(t)` may be asked at any time."""

    seconds: float
    scale: float
    sway_phases: NDArray[np.float64]
    shake_phases: NDArray[np.float64]
    rests: tuple[tuple[float, float], ...] = ()
    jolts: tuple[tuple[float, float], ...] = ()

    def position(self, time: float) -> Vector:
        """Camera centre (3,) in the world frame, metres."""
        a = 2 * np.pi * self._progress(time)
        loop = np.array(
            [-np.cos(a), np.sin(a) + 0.18 * np.sin(2 * a + 0.7), 0.8 * np.sin(a + 0.9) + 0.35 * np.cos(2 * a)]
        )
        return (
            _CENTER
            + self.scale * _HALF * loop
            + self._unrest(time) * _SWAY_M * self._noise(time, self.sway_phases, 0.7, 1.35)
        )

    def pose(self, time: float) -> tuple[NDArray[np.float64], Vector]:
        """World-to-camera rotation (3, 3) and translation (3,) at `time` seconds."""
        center = self.position(time)
        a = 2 * np.pi * self._progress(time)
        wander = np.array([0.30 * np.sin(a + 0.5), 0.10 * np.cos(a), 0.1 * np.sin(2 * a)])
        forward = _TARGET + self.scale * wander - center
        forward /= np.linalg.norm(forward)
        right = np.cross([0.0, 1.0, 0.0], forward)
        right /= np.linalg.norm(right)
        down = np.cross(forward, right)
        jerk = 1.0 + (_JOLT - 1.0) * max((_bump(time, *jolt) for jolt in self.jolts), default=0.0)
        shake = self._unrest(time) * jerk * np.radians(_SHAKE_DEG) * self._noise(time, self.shake_phases, 1.1, 1.6)
        rotation = _rotation(shake * [1.0, 1.0, 1.6]) @ np.stack([right, down, forward])
        return rotation, -rotation @ center

    def extent(self, times: NDArray[np.float64]) -> float:
        """Largest distance between any two camera centres at `times`, metres."""
        centers = np.stack([self.position(time) for time in times])
        return float(np.linalg.norm(centers[:, None] - centers[None], axis=-1).max())

    def _progress(self, time: float) -> float:
        """Share of the loop done: it starts and ends slowly, and stops a few centimetres short of its start."""
        rested = sum(float(np.clip(time - first, 0.0, last - first)) for first, last in self.rests)
        moving = self.seconds - sum(last - first for first, last in self.rests)
        t = np.clip((time - rested) / moving, -0.1, 1.1)
        return float(0.985 * (t - 0.55 * np.sin(2 * np.pi * t) / (2 * np.pi)))

    def _unrest(self, time: float) -> float:
        """1 on the way, less while at rest."""
        return 1.0 - (1.0 - _REST) * max((_bump(time, *rest) for rest in self.rests), default=0.0)

    @staticmethod
    def _noise(time: float, phases: NDArray[np.float64], lowest_hz: float, ratio: float) -> Vector:
        """Sum of sines of falling height (3,), about unit variance: `phases` (3, n)."""
        n = phases.shape[1]
        hertz = lowest_hz * ratio ** np.arange(n)
        height = hertz**-0.8
        height *= np.sqrt(2) / np.linalg.norm(height)
        return np.asarray((height * np.sin(2 * np.pi * (hertz * time + phases))).sum(1))


def camera_path(variant: Variant, seed: int) -> CameraPath:
    """The path of a variant; the seed chooses the sway and the shake."""
    rng = np.random.default_rng([seed, 11])
    sway, shake = rng.random((3, 5)), rng.random((3, 5))
    return CameraPath(variant.seconds, variant.path_scale, sway, shake, variant.rests, variant.jolts)


def _bump(time: float, first: float, last: float, ramp: float = 0.1) -> float:
    """1 between the two times, 0 away from them, smooth over `ramp` seconds outside."""
    x = np.clip(min(time - first + ramp, last + ramp - time) / ramp, 0.0, 1.0)
    return float(x * x * (3 - 2 * x))


def _rotation(vector: Vector) -> NDArray[np.float64]:
    """Rotation matrix of a rotation vector (3,), radians (Rodrigues)."""
    angle = float(np.linalg.norm(vector))
    if angle < 1e-12:
        return np.eye(3)
    x, y, z = vector / angle
    k = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * k + (1 - np.cos(angle)) * (k @ k)
