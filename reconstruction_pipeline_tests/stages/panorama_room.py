"""A closed, textured room with two pillars, seen all around (equirectangular) from exact places."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from reconstruction_pipeline_tests.stages.captures import Rgb, texture

Array = npt.NDArray[np.float64]

LOW, HIGH = np.array([-3.0, -1.6, -2.5]), np.array([3.0, 1.2, 2.5])
PILLARS = (
    (np.array([-1.9, -1.6, 0.9]), np.array([-1.3, 1.2, 1.5])),
    (np.array([1.5, -0.3, -1.7]), np.array([2.2, 1.2, -1.0])),
)
TEXELS_A_METRE = 60.0


@dataclass(frozen=True)
class Place:
    """Where the camera is, and how it is turned: x_camera = rotation @ (x - center)."""

    center: Array
    rotation: Array


def walk(count: int, turn_deg: float = 50.0, metres: float = 1.0) -> list[Place]:
    """Around the middle of the room on an arc, turning on the way, and never quite level."""
    places = []
    for t in np.linspace(0.0, 1.0, count):
        a = 2.2 * t
        center = metres * np.array([0.9 * np.cos(a) - 0.3, 0.12 * np.sin(5 * a), 0.9 * np.sin(a) - 0.3])
        yaw, pitch, roll = np.radians([turn_deg * t, 3 * np.sin(4 * a), 2 * np.cos(3 * a)])
        places.append(Place(center, _turn(2, roll) @ _turn(0, pitch) @ _turn(1, yaw)))
    return places


def _turn(axis: int, angle: float) -> Array:
    rotation, _ = cv2.Rodrigues(np.eye(3)[axis] * angle)
    return np.asarray(rotation)


class PanoramaRoom:
    """Renders panoramas `width` pixels wide."""

    def __init__(self, width: int) -> None:
        height = width // 2
        longitude = 2 * np.pi * ((np.arange(width) + 0.5) / width - 0.5)
        latitude = np.pi * ((np.arange(height) + 0.5) / height - 0.5)
        level = np.cos(latitude)[:, None]
        self._rays = np.stack(
            [
                np.sin(longitude)[None] * level,
                np.broadcast_to(np.sin(latitude)[:, None], (height, width)),
                np.cos(longitude)[None] * level,
            ],
            axis=-1,
        )
        self._textures = [texture(1024, seed) for seed in range(9)]

    def render(self, place: Place) -> Rgb:
        """(H, W, 3) panorama from `place`."""
        rays = self._rays @ place.rotation
        with np.errstate(divide="ignore"):
            walls = np.stack([(LOW - place.center) / rays, (HIGH - place.center) / rays]).max(axis=0)
        nearest, face = walls.min(axis=-1), walls.argmin(axis=-1)
        side = 2 * face + (np.take_along_axis(rays, face[..., None], -1)[..., 0] > 0)
        axis = face
        for number, (low, high) in enumerate(PILLARS):
            with np.errstate(divide="ignore"):
                slabs = np.stack([(low - place.center) / rays, (high - place.center) / rays])
            enter, leave = slabs.min(axis=0), slabs.max(axis=0).min(axis=-1)
            hit = (enter.max(axis=-1) < leave) & (enter.max(axis=-1) > 0) & (enter.max(axis=-1) < nearest)
            nearest = np.where(hit, enter.max(axis=-1), nearest)
            axis = np.where(hit, enter.argmax(axis=-1), axis)
            side = np.where(hit, 6 + number, side)
        points = place.center + nearest[..., None] * rays
        u = np.where(axis == 0, points[..., 2], points[..., 0]) * TEXELS_A_METRE
        v = np.where(axis == 1, points[..., 2], points[..., 1]) * TEXELS_A_METRE
        # Another part of the texture on each face of a pillar.
        x, y = ((u + 300 + 150 * axis) % 1023).astype(np.float32), ((v + 400) % 1023).astype(np.float32)
        image = np.zeros((*side.shape, 3), np.uint8)
        for number, picture in enumerate(self._textures):
            seen = side == number
            if seen.any():
                image[seen] = cv2.remap(picture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)[seen]
        return image
