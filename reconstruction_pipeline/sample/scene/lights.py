"""Where the light comes from: a window with sky behind it, the sun through that window, and a lit floor lamp."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reconstruction_pipeline.sample.scene.patch import ROOM_TO_WORLD

Array = NDArray[Any]
Weight = Callable[[Array, Array], Array]

_FAR_M = 30.0


@dataclass(frozen=True)
class Lights:
    """Light sources in the room frame (metres; see `patch`).

    `window_center`, `window_right`, `window_up`: the opening, its half sides; it shines towards -x.
    `sun_direction`: unit vector towards the sun. `lamp`: the bulb. `*_color`: linear radiance of the sky, and
    irradiance / pi of the sun and, at 1 m, of the lamp.
    """

    window_center: tuple[float, float, float]
    window_right: tuple[float, float, float]
    window_up: tuple[float, float, float]
    sky_color: tuple[float, float, float]
    sun_direction: tuple[float, float, float]
    sun_color: tuple[float, float, float]
    lamp: tuple[float, float, float]
    lamp_color: tuple[float, float, float]
    window_samples: int = 36
    sun_samples: int = 6
    lamp_samples: int = 8

    def samples(self, position: Array, rng: np.random.Generator) -> Iterator[tuple[Array, Weight]]:
        """Light points (n, 3, world frame), one for each of the `position`s, with the weight of a clear view of them.

        A weight maps unit directions towards the light (n, 3) and distances (n,) to irradiance / pi (n, 3), before the
        cosine at the receiver.
        """
        n = len(position)
        center, right, up = (_world(v) for v in (self.window_center, self.window_right, self.window_up))
        area = 4 * float(np.linalg.norm(right) * np.linalg.norm(up))
        inward = _world((-1.0, 0.0, 0.0))
        sky = np.array(self.sky_color, np.float32) * np.float32(area / (np.pi * self.window_samples))

        def from_window(toward: Array, distance: Array) -> Array:
            facing = np.maximum(-(toward @ inward), 0)
            return (facing / np.maximum(distance, 0.15) ** 2)[:, None] * sky

        side = round(self.window_samples**0.5)
        for cell in range(side * side):
            jitter = rng.random((2, n, 1), dtype=np.float32)
            s = (cell % side + jitter[0]) / side * 2 - 1
            t = (cell // side + jitter[1]) / side * 2 - 1
            yield center + s * right + t * up, from_window

        sun = np.array(self.sun_color, np.float32) / np.float32(self.sun_samples)
        for _ in range(self.sun_samples):  # the disc is widened to about 1.5 degrees: a softer beam
            spread = rng.normal(scale=0.012, size=(n, 3)).astype(np.float32)
            yield position + _FAR_M * (_world(self.sun_direction) + spread), lambda toward, distance: sun[None, :]

        lamp = np.array(self.lamp_color, np.float32) / np.float32(self.lamp_samples)
        for _ in range(self.lamp_samples):
            offset = rng.normal(scale=0.03, size=(n, 3)).astype(np.float32)
            yield (
                _world(self.lamp) + offset,
                lambda toward, distance: (1 / np.maximum(distance, 0.2) ** 2)[:, None] * lamp,
            )


def _world(vector: tuple[float, float, float]) -> Array:
    return (ROOM_TO_WORLD @ np.asarray(vector)).astype(np.float32)
