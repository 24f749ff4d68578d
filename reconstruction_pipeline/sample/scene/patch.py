"""The one primitive of the scene: a grid of points with its own picture.

Room frame: x right, y up, z towards the viewer, metres (glTF's). The world frame of everything delivered is
y-down: x_world = (x, -y, -z).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from reconstruction_pipeline.sample.textures.canvas import Paint

Points = NDArray[np.float64]

ROOM_TO_WORLD = np.diag([1.0, -1.0, -1.0])


@dataclass(frozen=True)
class Patch:
    """A surface of (rows, columns, 3) points in the room frame.

    Seen from outside, rows run down and columns to the right, as in its texture, which spans the whole grid.
    `emission` > 0 makes it shine with that multiple of its colour, unlit. `two_sided` is for leaves and paper.
    `casts_shadow` is off for the window panes alone.
    """

    name: str
    grid: Points
    paint: Paint
    texels_per_m: float = 512.0
    two_sided: bool = False
    emission: float = 0.0
    casts_shadow: bool = True

    def moved(self, transform: Points) -> Patch:
        """The same patch after a 4x4 rigid or scaling transform."""
        return replace(self, grid=self.grid @ transform[:3, :3].T + transform[:3, 3])

    @property
    def size_m(self) -> tuple[float, float]:
        """Height and width in metres: the longest column and the longest row."""
        down = np.linalg.norm(np.diff(self.grid, axis=0), axis=-1).sum(0).max()
        right = np.linalg.norm(np.diff(self.grid, axis=1), axis=-1).sum(1).max()
        return max(float(down), 1e-3), max(float(right), 1e-3)

    def texture_shape(self, scale: float) -> tuple[int, int]:
        """Texels (height, width): powers of two, so that every mip level halves exactly."""
        return tuple(int(2 ** np.clip(np.round(np.log2(s * self.texels_per_m * scale)), 2, 11)) for s in self.size_m)  # type: ignore[return-value]


def transform(
    x: float = 0.0, y: float = 0.0, z: float = 0.0, yaw: float = 0.0, pitch: float = 0.0, roll: float = 0.0
) -> Points:
    """4x4 that turns by roll (about z), pitch (about x), yaw (about y), in degrees, then moves to (x, y, z)."""
    a, b, c = np.radians([yaw, pitch, roll])
    about_y = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    about_z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    matrix = np.eye(4)
    matrix[:3, :3] = about_y @ about_x @ about_z
    matrix[:3, 3] = (x, y, z)
    return matrix


def moved(patches: list[Patch], matrix: Points) -> list[Patch]:
    """Every patch after the same transform."""
    return [p.moved(matrix) for p in patches]
