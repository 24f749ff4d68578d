"""The study: a furnished room, all of it computed."""

from __future__ import annotations

import numpy as np

from reconstruction_pipeline.sample.scene import desk, furniture, plants, room, shelf, tea_table, wall_hangings
from reconstruction_pipeline.sample.scene.patch import Patch, moved, transform


def build_scene(seed: int) -> list[Patch]:
    """Every patch of the room (room frame, metres). The seed chooses the books, the leaves and the like."""

    def generator(part: int) -> np.random.Generator:
        return np.random.default_rng([seed, part])

    patches = room.build() + wall_hangings.build()
    patches += moved(shelf.build(generator(1)), transform(-1.18, 0, room.BACK + 0.168))
    patches += moved(desk.build(generator(2)), transform(0.52, 0, -1.98))
    patches += moved(plants.sprig(generator(3)), transform(1.0, 0.745, -2.1))
    patches += moved(furniture.chair(), transform(0.55, 0, -1.25, yaw=207))
    patches += moved(tea_table.build(), transform(-0.72, 0.012, -0.95))
    patches += moved(furniture.floor_lamp(), transform(room.LIGHTS.lamp[0], 0, room.LIGHTS.lamp[2]))
    patches += moved(furniture.chest(), transform(1.62, 0, -1.2, yaw=-68))
    patches += moved(furniture.toys(generator(4)), transform(0.16, 0.012, -0.74))
    patches += moved(plants.palm(generator(5)), transform(-1.75, 0, -1.5))
    return patches
