"""From patches to a renderable room: textures painted, light baked into them, mip levels packed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from reconstruction_pipeline.sample.render import atlas as atlas_module
from reconstruction_pipeline.sample.render.lighting import bake
from reconstruction_pipeline.sample.render.triangles import Triangles, triangulate
from reconstruction_pipeline.sample.scene.lights import Lights
from reconstruction_pipeline.sample.scene.patch import Patch
from reconstruction_pipeline.sample.textures.canvas import Canvas, Image
from reconstruction_pipeline.sample.variants import Variant


@dataclass(frozen=True)
class Room:
    """A lit scene: geometry, one texture per patch with the light in it."""

    triangles: Triangles
    atlas: atlas_module.Atlas


def bake_room(
    patches: list[Patch],
    lights: Lights,
    variant: Variant,
    seed: int,
    report: Callable[[float], None] = lambda done: None,
) -> Room:
    """Paints and lights every patch. `report` hears the fraction done."""
    triangles = triangulate(patches)
    painted: list[Image] = []
    small: list[Image] = []
    for index, patch in enumerate(patches):
        height, width = patch.texture_shape(variant.texture_scale)
        texture = np.clip(patch.paint(Canvas(height, width, *patch.size_m, patch.name, seed)), 0.004, 0.92)
        small.append(cv2.resize(texture, (max(1, width // 8), max(1, height // 8)), interpolation=cv2.INTER_AREA))
        painted.append(np.sqrt(texture * np.float32(255**2)).astype(np.uint8))  # kept at a byte a channel until lit
        if index % 50 == 0:
            report(0.5 * index / len(patches))
    light = bake(patches, triangles, small, lights, variant.light_scale, variant.light_rays, seed)
    textures, shapes = [], []
    for index, (patch, texture) in enumerate(zip(patches, painted, strict=True)):
        height, width = texture.shape[:2]
        albedo = (texture.astype(np.float32) + np.float32(0.5)) ** 2 * np.float32(1 / 255**2)
        if patch.emission > 0:
            radiance = albedo * np.float32(patch.emission)
        else:
            radiance = albedo * np.maximum(cv2.resize(light[index], (width, height), interpolation=cv2.INTER_CUBIC), 0)
        textures.append(atlas_module.levels_of(radiance))
        shapes.append((height, width))
        if index % 50 == 0:
            report(0.6 + 0.4 * index / len(patches))
    return Room(triangles, atlas_module.pack(textures, shapes))
