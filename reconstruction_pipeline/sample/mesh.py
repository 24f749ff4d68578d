"""The scene's surface as mesh files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reconstruction_pipeline.sample.render.atlas import RADIANCE_MAX
from reconstruction_pipeline.sample.render.bake import Room


def write_meshes(room: Room, ply: Path, glb: Path) -> None:
    """Writes the surface with the light baked into its vertex colours: PLY y-down and sRGB, GLB y-up and linear."""
    import trimesh

    triangles = room.triangles
    linear = _vertex_colors(room)
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    for path, points, colors in ((ply, triangles.vertices, srgb), (glb, triangles.vertices * [1, -1, -1], linear)):
        mesh = trimesh.Trimesh(
            points, triangles.faces, vertex_colors=np.round(255 * colors).astype(np.uint8), process=False
        )
        mesh.export(path)


def _vertex_colors(room: Room) -> NDArray[np.float64]:
    """Linear colours (v, 3) in 0..1, each the mean of the texture about its vertex."""
    triangles, atlas = room.triangles, room.atlas
    counts = np.bincount(triangles.vertex_patch, minlength=len(atlas.shapes))
    shapes = atlas.shapes[triangles.vertex_patch].astype(np.int64)
    per_vertex = shapes.prod(-1) / counts[triangles.vertex_patch]
    level = np.clip(np.round(0.5 * np.log2(per_vertex)), 0, atlas.offsets.shape[1] - 1).astype(np.int64)
    height, width = (np.maximum(shapes >> level[:, None], 1)).T
    row = np.minimum((triangles.uv[:, 1] * height).astype(np.int64), height - 1)
    column = np.minimum((triangles.uv[:, 0] * width).astype(np.int64), width - 1)
    texel = atlas.texels[atlas.offsets[triangles.vertex_patch, level] + row * width + column]
    stored = np.stack([(texel >> shift) & 255 for shift in (0, 8, 16)], -1) / 255.0
    return np.clip(stored**2 * RADIANCE_MAX, 0, 1)
