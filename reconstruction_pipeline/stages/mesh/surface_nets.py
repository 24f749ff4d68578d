"""The zero level of a sparse signed distance field as a triangle mesh.

Naive surface nets (Gibson 1998): a vertex in every cell that the surface crosses, at the mean of the
crossings on its edges, and a quad around every crossed edge. Compared with marching cubes it needs no
tables and leaves no slivers, which decimation likes. Cells with a corner that nothing has seen have
no vertex: the surface stays open where it is unknown.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from reconstruction_pipeline.stages.mesh.tsdf import BLOCK, Tsdf

_SETTINGS: dict[str, Any] = {"nogil": True, "fastmath": True, "error_model": "numpy", "cache": True}
STEEPEST = np.float32(1.0)
"""A larger change between two neighbouring voxels is the border of two observations and not a surface."""


def extract_surface(field: Tsdf, min_weight: float) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int32]]:
    """Vertices (V, 3) in the world and faces (F, 3), counter-clockwise seen from the free side; maybe none.

    Only voxels with at least `min_weight` count as seen.
    """
    cell_vertex, positions = _vertices(field.blocks, field.places, field.distance, field.weight, np.float32(min_weight))
    faces = _faces(
        field.blocks, field.places, field.distance, field.weight, np.float32(min_weight), cell_vertex, positions
    )
    return field.origin + field.voxel * positions, faces


@njit(**_SETTINGS)
def _find(blocks, x, y, z):  # type: ignore[no-untyped-def]
    """Block number and index within the block of a voxel; (-1, 0) where there is no block."""
    if x < 0 or y < 0 or z < 0:
        return -1, 0
    i, j, k = x // BLOCK, y // BLOCK, z // BLOCK
    if i >= blocks.shape[0] or j >= blocks.shape[1] or k >= blocks.shape[2]:
        return -1, 0
    return blocks[i, j, k], ((x % BLOCK) * BLOCK + y % BLOCK) * BLOCK + z % BLOCK


@njit(**_SETTINGS)
def _vertices(blocks, places, distance, weight, min_weight):  # type: ignore[no-untyped-def]
    """The vertex number of every cell (named by its lowest voxel), -1 for none, and the positions in voxels."""
    cell_vertex = np.full(distance.shape, -1, np.int32)
    positions = np.empty((1024, 3), np.float64)
    count = 0
    corner = np.empty(8, np.float32)
    for b in range(places.shape[0]):
        for n in range(BLOCK * BLOCK * BLOCK):
            if weight[b, n] < min_weight:
                continue
            x = places[b, 0] * BLOCK + n // (BLOCK * BLOCK)
            y = places[b, 1] * BLOCK + (n // BLOCK) % BLOCK
            z = places[b, 2] * BLOCK + n % BLOCK
            inside = 0
            known = True
            for c in range(8):
                found, m = _find(blocks, x + (c >> 2), y + ((c >> 1) & 1), z + (c & 1))
                if found < 0 or weight[found, m] < min_weight:
                    known = False
                    break
                corner[c] = distance[found, m]
                if corner[c] < 0:
                    inside += 1
            if not known or inside == 0 or inside == 8:
                continue
            sx, sy, sz, crossings = 0.0, 0.0, 0.0, 0
            for c in range(8):
                for axis in range(3):
                    bit = 4 >> axis
                    if c & bit:
                        continue
                    a, e = corner[c], corner[c | bit]
                    if (a < 0) == (e < 0) or abs(a - e) > STEEPEST:
                        continue
                    t = a / (a - e)
                    sx += (c >> 2) + (t if axis == 0 else 0.0)
                    sy += ((c >> 1) & 1) + (t if axis == 1 else 0.0)
                    sz += (c & 1) + (t if axis == 2 else 0.0)
                    crossings += 1
            if crossings == 0:
                continue
            if count == positions.shape[0]:
                larger = np.empty((2 * count, 3), np.float64)
                larger[:count] = positions
                positions = larger
            positions[count, 0] = x + sx / crossings
            positions[count, 1] = y + sy / crossings
            positions[count, 2] = z + sz / crossings
            cell_vertex[b, n] = count
            count += 1
    return cell_vertex, positions[:count].copy()


@njit(**_SETTINGS)
def _faces(blocks, places, distance, weight, min_weight, cell_vertex, positions):  # type: ignore[no-untyped-def]
    """Two triangles around every crossed edge whose four cells all have a vertex."""
    faces = np.empty((2048, 3), np.int32)
    count = 0
    ring = np.empty(4, np.int32)
    step = np.zeros(3, np.int64)
    for b in range(places.shape[0]):
        for n in range(BLOCK * BLOCK * BLOCK):
            if weight[b, n] < min_weight:
                continue
            x = places[b, 0] * BLOCK + n // (BLOCK * BLOCK)
            y = places[b, 1] * BLOCK + (n // BLOCK) % BLOCK
            z = places[b, 2] * BLOCK + n % BLOCK
            here = distance[b, n]
            for axis in range(3):
                found, m = _find(blocks, x + (axis == 0), y + (axis == 1), z + (axis == 2))
                if found < 0 or weight[found, m] < min_weight:
                    continue
                there = distance[found, m]
                if (here < 0) == (there < 0) or abs(here - there) > STEEPEST:
                    continue
                # The cells around the edge, counter-clockwise looking against the axis.
                u, v = (axis + 1) % 3, (axis + 2) % 3
                complete = True
                for q in range(4):
                    step[:] = 0
                    step[u] = -1 if q == 1 or q == 2 else 0
                    step[v] = -1 if q == 2 or q == 3 else 0
                    cell, m = _find(blocks, x + step[0], y + step[1], z + step[2])
                    ring[q] = -1 if cell < 0 else cell_vertex[cell, m]
                    if ring[q] < 0:
                        complete = False
                        break
                if not complete:
                    continue
                if here >= 0:  # free space on the near side: the surface faces against the axis
                    ring[1], ring[3] = ring[3], ring[1]
                if count + 2 > faces.shape[0]:
                    larger = np.empty((2 * faces.shape[0], 3), np.int32)
                    larger[:count] = faces[:count]
                    faces = larger
                across, along = 0.0, 0.0
                for k in range(3):
                    across += (positions[ring[0], k] - positions[ring[2], k]) ** 2
                    along += (positions[ring[1], k] - positions[ring[3], k]) ** 2
                first = 0 if across <= along else 1  # the shorter diagonal
                p, q, r, s = ring[first], ring[first + 1], ring[(first + 2) % 4], ring[(first + 3) % 4]
                faces[count, 0], faces[count, 1], faces[count, 2] = p, q, r
                faces[count + 1, 0], faces[count + 1, 1], faces[count + 1, 2] = p, r, s
                count += 2
    return faces[:count].copy()
