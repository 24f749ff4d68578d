"""A picture to paint on: physical size, seeded noise, antialiased strokes.

Every wavelength and stroke is given in metres, so that the same pattern comes out at every texel density.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

# float32 in truth; numpy's stubs lose that in most arithmetic.
Image = NDArray[Any]
Color = NDArray[Any]
Paint = Callable[["Canvas"], Image]

_SUBPIXEL_BITS = 4


def rgb(code: str) -> Color:
    """Linear-light (3,) colour of an sRGB hex code such as '#c08040'."""
    value = np.array([int(code[i : i + 2], 16) for i in (1, 3, 5)], np.float32) / 255
    return to_linear(value)


def to_linear(value: Image) -> Image:
    """Inverse of the sRGB transfer function, for values in 0..1."""
    low = value / 12.92
    high = ((value + 0.055) / 1.055) ** 2.4
    return np.where(value <= 0.04045, low, high).astype(np.float32)


class Canvas:
    """A blank texture of (height, width) texels that covers (height_m, width_m) metres.

    Rows run down and columns to the right as seen from outside the surface. `key` and `seed` alone decide every
    random choice made through it.
    """

    def __init__(self, height: int, width: int, height_m: float, width_m: float, key: str, seed: int) -> None:
        self.height, self.width = height, width
        self.height_m, self.width_m = height_m, width_m
        self._entropy = [seed, zlib.crc32(key.encode())]
        self._draws = 0
        self.rng = self._generator()

    def _generator(self) -> np.random.Generator:
        self._draws += 1
        return np.random.default_rng([*self._entropy, self._draws])

    @property
    def x(self) -> Image:
        """Texel centres along a row, (1, width), metres from the left."""
        return ((np.arange(self.width, dtype=np.float32) + 0.5) * (self.width_m / self.width))[None, :]

    @property
    def y(self) -> Image:
        """Texel centres down a column, (height, 1), metres from the top."""
        return ((np.arange(self.height, dtype=np.float32) + 0.5) * (self.height_m / self.height))[:, None]

    def flat(self, color: Color) -> Image:
        """(height, width, 3) of one linear colour."""
        return np.broadcast_to(color, (self.height, self.width, 3)).astype(np.float32)

    def noise(self, wavelength: float, wavelength_y: float | None = None) -> Image:
        """Smooth noise (height, width), zero mean, about unit variance; features of the given size in metres."""
        rng = self._generator()
        nx = max(2, round(self.width_m / wavelength) + 1)
        ny = max(2, round(self.height_m / (wavelength_y or wavelength)) + 1)
        if nx > 1.5 * self.width or ny > 1.5 * self.height:  # finer than the texels: its mean is nothing
            nx, ny = min(nx, self.width), min(ny, self.height)
        lattice = rng.standard_normal((ny, nx), dtype=np.float32)
        return cv2.resize(lattice, (self.width, self.height), interpolation=cv2.INTER_CUBIC) * np.float32(1.3)

    def fbm(self, wavelength: float, octaves: int = 4, gain: float = 0.5, stretch_y: float = 1.0) -> Image:
        """Sum of `octaves` noises, each half the size and `gain` the height of the one before; about unit variance."""
        total = np.zeros((self.height, self.width), np.float32)
        weight, power = 1.0, 0.0
        for octave in range(octaves):
            size = wavelength / 2**octave
            total += np.float32(weight) * self.noise(size, size * stretch_y)
            power += weight**2
            weight *= gain
        return total / np.float32(power**0.5)

    def stroke(self, mask: Image, points: Sequence[Sequence[float]], width_m: float, closed: bool = False) -> None:
        """Draws a polyline of `points` (x, y in metres) into `mask`, antialiased, as the value 1."""
        thickness = max(1, round(width_m * self.width / self.width_m))
        cv2.polylines(mask, [self._texels(points)], closed, 1.0, thickness, cv2.LINE_8, _SUBPIXEL_BITS)

    def fill(self, mask: Image, points: Sequence[Sequence[float]]) -> None:
        """Fills the polygon of `points` (x, y in metres) in `mask` with the value 1."""
        cv2.fillPoly(mask, [self._texels(points)], 1.0, cv2.LINE_8, _SUBPIXEL_BITS)

    def mask(self) -> Image:
        """An empty (height, width) mask."""
        return np.zeros((self.height, self.width), np.float32)

    def _texels(self, points: Sequence[Sequence[float]]) -> NDArray[np.int32]:
        scale = np.array([self.width / self.width_m, self.height / self.height_m])
        texels = np.asarray(points, np.float64) * scale - 0.5
        return np.round(texels * 2**_SUBPIXEL_BITS).astype(np.int32).reshape(-1, 1, 2)


def mix(base: Image, over: Image | Color, alpha: Image | float) -> Image:
    """`base` with `over` laid on it where `alpha` (height, width) is 1."""
    a = np.asarray(alpha, np.float32)
    if a.ndim == 2:
        a = np.clip(a, 0, 1)[..., None]
    return (base + (over - base) * a).astype(np.float32)


def shade(base: Image, noise: Image, amount: float) -> Image:
    """`base` made lighter and darker by a relative `amount` of `noise` (height, width)."""
    return base * np.clip(1 + amount * noise, 0.15, 2.2)[..., None]


def ramp(colors: Sequence[Color], t: Image) -> Image:
    """Piecewise linear colour scale over `t` in 0..1."""
    stops = np.linspace(0, 1, len(colors))
    table = np.stack(colors)
    return np.stack([np.interp(t, stops, table[:, c]) for c in range(3)], -1).astype(np.float32)


def step(value: Image, edge: float, softness: float) -> Image:
    """0 below `edge`, 1 above, linear over `softness`."""
    return np.clip((value - edge) / softness + 0.5, 0, 1).astype(np.float32)
