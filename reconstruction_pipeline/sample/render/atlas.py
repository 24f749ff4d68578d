"""All textures and their mip pyramids in one flat array, for kernels to index."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

LEVELS = 12
RADIANCE_MAX = 1.6  # what the largest stored value stands for: sunlit paper is brighter than 1


@dataclass(frozen=True)
class Atlas:
    """Baked radiance of every patch.

    `texels` (n,) uint32 holds sqrt(radiance / RADIANCE_MAX) in a byte a channel, red lowest: a square decodes it, and
    the steps are as fine as those of an 8-bit picture. `offsets` (patches, LEVELS) int64 is where a level starts, row
    by row; `shapes` (patches, 2) int32 is (height, width) of level 0; each level halves both, not below 1.
    """

    texels: NDArray[np.uint32]
    offsets: NDArray[np.int64]
    shapes: NDArray[np.int32]


def encode(radiance: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Radiance (..., 3) to stored values."""
    return np.sqrt(
        np.clip(radiance * np.float32(1 / RADIANCE_MAX), 0, 1) * np.float32(255**2) + np.float32(0.25)
    ).astype(np.uint8)


def levels_of(radiance: NDArray[Any]) -> list[NDArray[np.uint32]]:
    """The encoded mip levels of one texture, averaged in linear light, down to 1 x 1."""
    levels = []
    while True:
        height, width = radiance.shape[:2]
        red, green, blue = np.moveaxis(encode(radiance).reshape(-1, 3).astype(np.uint32), -1, 0)
        levels.append((red | green << 8 | blue << 16).astype(np.uint32))
        if height == 1 and width == 1:
            return levels
        radiance = cv2.resize(radiance, (max(1, width // 2), max(1, height // 2)), interpolation=cv2.INTER_AREA)


def pack(textures: list[list[NDArray[np.uint32]]], shapes: list[tuple[int, int]]) -> Atlas:
    """One array from the levels of every texture; coarse levels beyond a texture's last repeat its last."""
    offsets = np.zeros((len(textures), LEVELS), np.int64)
    cursor = 0
    for index, levels in enumerate(textures):
        for level in range(LEVELS):
            if level < len(levels):
                offsets[index, level] = cursor
                cursor += len(levels[level])
            else:
                offsets[index, level] = offsets[index, level - 1]
    texels = np.concatenate([level for levels in textures for level in levels])
    return Atlas(texels, offsets, np.asarray(shapes, np.int32).reshape(-1, 2))
