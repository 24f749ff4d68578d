"""Vertex colours from the pictures that see them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from reconstruction_pipeline.kernels.camera import PinholeView
from reconstruction_pipeline.stages.mesh.zbuffer import render_mesh

_SETTINGS: dict[str, Any] = {"nogil": True, "fastmath": True, "error_model": "numpy", "cache": True}
# Nearer than anything: what lies behind is hidden.
HIDDEN = np.float32(1e-30)


def colour_vertices(
    vertices: npt.NDArray[np.float64], faces: npt.NDArray[np.int32], normals: npt.NDArray[np.float32],
    views: Sequence[PinholeView], pictures: Sequence[npt.NDArray[np.uint8]],
    counts: Sequence[npt.NDArray[np.bool_] | None], slack: float,
) -> npt.NDArray[np.uint8]:  # fmt: skip
    """RGB (V, 3) uint8: the mean over the pictures (H, W, 3) that see a vertex, near and frontal views counting most.

    A vertex is seen when nothing of the mesh is nearer by more than `slack` (world units), and where the picture
    counts: `counts` (H, W) per view, None where all of it does. Vertices that
    no picture sees take the colour of the nearest one that is seen, or mid-grey if none is.
    """
    import cv2

    total = np.zeros((len(vertices), 4))
    nothing = np.empty((len(vertices), 0), np.float32)
    for view, picture, seen in zip(views, pictures, counts, strict=True):
        depth = render_mesh(vertices, faces, nothing, view).depth
        if seen is not None:
            # Colours are read between pixels: one that borders on what does not count is left out as well.
            inner = cv2.erode(seen.astype(np.uint8), np.ones((3, 3), np.uint8))
            depth = np.where(inner > 0, depth, HIDDEN).astype(np.float32)
        camera = np.concatenate([view.rotation.ravel(), view.translation, [view.fx, view.fy, view.cx, view.cy]])
        _gather(vertices, normals, camera, depth, picture, slack, total)
    coloured = total[:, 3] > 0
    colours = np.full((len(vertices), 3), 128.0)
    colours[coloured] = total[coloured, :3] / total[coloured, 3:]
    if coloured.any() and not coloured.all():
        from scipy.spatial import cKDTree

        colours[~coloured] = colours[coloured][cKDTree(vertices[coloured]).query(vertices[~coloured])[1]]
    return np.clip(np.rint(colours), 0, 255).astype(np.uint8)


@njit(**_SETTINGS)
def _gather(vertices, normals, camera, depth, picture, slack, total):  # type: ignore[no-untyped-def]
    height, width = depth.shape
    for i in range(vertices.shape[0]):
        x, y, z = vertices[i, 0], vertices[i, 1], vertices[i, 2]
        u = camera[0] * x + camera[1] * y + camera[2] * z + camera[9]
        v = camera[3] * x + camera[4] * y + camera[5] * z + camera[10]
        w = camera[6] * x + camera[7] * y + camera[8] * z + camera[11]
        if w <= 1e-9:
            continue
        px, py = camera[12] * u / w + camera[14] - 0.5, camera[13] * v / w + camera[15] - 0.5
        if px < 0 or py < 0 or px > width - 1 or py > height - 1:
            continue
        column, row = int(px + 0.5), int(py + 0.5)
        if depth[row, column] > 0 and depth[row, column] < w - slack:
            continue
        nu = camera[0] * normals[i, 0] + camera[1] * normals[i, 1] + camera[2] * normals[i, 2]
        nv = camera[3] * normals[i, 0] + camera[4] * normals[i, 1] + camera[5] * normals[i, 2]
        nw = camera[6] * normals[i, 0] + camera[7] * normals[i, 1] + camera[8] * normals[i, 2]
        cosine = -(nu * u + nv * v + nw * w) / np.sqrt(u * u + v * v + w * w)
        if cosine < 0.1:
            continue
        weight = cosine * cosine * cosine / (w * w)
        j, k = min(int(px), width - 2), min(int(py), height - 2)
        s, t = px - j, py - k
        for c in range(3):
            top = picture[k, j, c] * (1 - s) + picture[k, j + 1, c] * s
            low = picture[k + 1, j, c] * (1 - s) + picture[k + 1, j + 1, c] * s
            total[i, c] += weight * (top + t * (low - top))
        total[i, 3] += weight
