"""The triangles of all patches, as flat arrays for the rasteriser, the light bake and the exported mesh."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reconstruction_pipeline.sample.scene.patch import ROOM_TO_WORLD, Patch


@dataclass(frozen=True)
class Triangles:
    """World-frame (y-down, metres) triangles.

    `vertices` (v, 3) float64 and `uv` (v, 2) float64 in 0..1 of the patch's texture; `faces` (t, 3) int32, counter-
    clockwise from outside; `patch` (t,) int32 is the patch of each face; `vertex_patch` (v,) that of each vertex.
    """

    vertices: NDArray[np.float64]
    uv: NDArray[np.float64]
    faces: NDArray[np.int32]
    patch: NDArray[np.int32]
    vertex_patch: NDArray[np.int32]


def triangulate(patches: list[Patch]) -> Triangles:
    """Two triangles a grid cell, without the empty ones at the poles of lathes."""
    vertices, uvs, faces, owners, vertex_owners = [], [], [], [], []
    base = 0
    for index, patch in enumerate(patches):
        rows, columns = patch.grid.shape[:2]
        points = patch.grid.reshape(-1, 3) @ ROOM_TO_WORLD.T
        v, u = np.meshgrid(np.linspace(0, 1, rows), np.linspace(0, 1, columns), indexing="ij")
        corner = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).ravel()
        a, b, c, d = corner, corner + 1, corner + columns, corner + columns + 1
        cells = np.concatenate([np.stack([a, c, b], -1), np.stack([b, c, d], -1)])
        area = np.linalg.norm(
            np.cross(points[cells[:, 1]] - points[cells[:, 0]], points[cells[:, 2]] - points[cells[:, 0]]), axis=-1
        )
        cells = cells[area > 1e-9]
        vertices.append(points)
        uvs.append(np.stack([u.ravel(), v.ravel()], -1))
        faces.append(cells + base)
        owners.append(np.full(len(cells), index))
        vertex_owners.append(np.full(len(points), index))
        base += len(points)
    return Triangles(
        np.concatenate(vertices),
        np.concatenate(uvs),
        np.concatenate(faces).astype(np.int32),
        np.concatenate(owners).astype(np.int32),
        np.concatenate(vertex_owners).astype(np.int32),
    )


def bare(vertices: NDArray[np.float64], faces: NDArray[np.int32]) -> Triangles:
    """Triangles without textures: enough for depth."""
    return Triangles(
        vertices, np.zeros((len(vertices), 2)), faces, np.zeros(len(faces), np.int32), np.zeros(len(vertices), np.int32)
    )
