"""Flat made flat, edges left sharp: bilateral filtering of the normals.

Zheng, Fu, Au and Tai, "Bilateral normal filtering for mesh denoising", IEEE TVCG 2011: the normals of the faces are
averaged with those of like direction around them, and the vertices then follow the normals. Depth rendered from
Gaussians follows each of them; on walls and floors that leaves dents as large as a Gaussian.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int32]

_SETTINGS: dict[str, Any] = {"nogil": True, "fastmath": True, "error_model": "numpy", "cache": True}
# Rounds of moving the vertices after the normals.
FOLLOW = 15


def denoise(vertices: Floats, faces: Ints, rounds: int, sigma: float) -> Floats:
    """Vertices (V, 3) after `rounds` of filtering; normals that differ by more than about `sigma` (length of their
    difference, 0 to 2) do not mix. Vertices on a border stay where they are.
    """
    if rounds == 0 or len(faces) == 0:
        return vertices
    start, around = faces_around(faces, len(vertices))
    normals, areas, middles = face_geometry(vertices, faces)
    edges = np.linalg.norm(vertices[faces[:, 0]] - vertices[faces[:, 1]], axis=1)
    reach = 2.0 * float(np.mean(edges))
    for _ in range(rounds):
        normals = _filter(normals, areas, middles, faces, start, around, sigma, reach)
    moved = vertices.copy()
    fixed = border_vertices(faces, len(vertices))
    for _ in range(FOLLOW):
        moved = _follow(moved, faces, normals, start, around, fixed)
    return moved


def faces_around(faces: Ints, count: int) -> tuple[Ints, Ints]:
    """((V + 1,) starts, (3 F,) faces): the faces at vertex v are `faces[starts[v] : starts[v + 1]]`."""
    flat = faces.ravel()
    order = np.argsort(flat, kind="stable")
    start = np.zeros(count + 1, np.int32)
    start[1:] = np.cumsum(np.bincount(flat, minlength=count))
    return start, (order // 3).astype(np.int32)


def face_geometry(vertices: Floats, faces: Ints) -> tuple[Floats, Floats, Floats]:
    """Unit normals (F, 3), areas (F,) and middles (F, 3)."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    cross = np.cross(b - a, c - a)
    double = np.linalg.norm(cross, axis=1)
    return cross / np.maximum(double, 1e-300)[:, None], 0.5 * double, (a + b + c) / 3


def border_vertices(faces: Ints, count: int) -> npt.NDArray[np.bool_]:
    """(V,) whether a vertex lies on an edge that only one face has."""
    ends = np.sort(np.stack([faces, np.roll(faces, -1, axis=1)], axis=2).reshape(-1, 2), axis=1)
    edge, number = np.unique(ends, axis=0, return_counts=True)
    border = np.zeros(count, np.bool_)
    border[edge[number == 1].ravel()] = True
    return border


@njit(**_SETTINGS)
def _filter(normals, areas, middles, faces, start, around, sigma, reach):  # type: ignore[no-untyped-def]
    result = np.empty_like(normals)
    for f in range(faces.shape[0]):
        x, y, z = 0.0, 0.0, 0.0
        for corner in range(3):
            v = faces[f, corner]
            for i in range(start[v], start[v + 1]):
                g = around[i]
                unlike = 0.0
                apart = 0.0
                for k in range(3):
                    unlike += (normals[f, k] - normals[g, k]) ** 2
                    apart += (middles[f, k] - middles[g, k]) ** 2
                weight = areas[g] * np.exp(-unlike / (2 * sigma * sigma) - apart / (2 * reach * reach))
                x += weight * normals[g, 0]
                y += weight * normals[g, 1]
                z += weight * normals[g, 2]
        length = np.sqrt(x * x + y * y + z * z)
        if length > 0:
            result[f, 0], result[f, 1], result[f, 2] = x / length, y / length, z / length
        else:
            result[f] = normals[f]
    return result


@njit(**_SETTINGS)
def _follow(vertices, faces, normals, start, around, fixed):  # type: ignore[no-untyped-def]
    result = vertices.copy()
    for v in range(vertices.shape[0]):
        number = start[v + 1] - start[v]
        if fixed[v] or number == 0:
            continue
        for i in range(start[v], start[v + 1]):
            f = around[i]
            off = 0.0
            for k in range(3):
                middle = (vertices[faces[f, 0], k] + vertices[faces[f, 1], k] + vertices[faces[f, 2], k]) / 3
                off += normals[f, k] * (middle - vertices[v, k])
            for k in range(3):
                result[v, k] += normals[f, k] * off / number
    return result
