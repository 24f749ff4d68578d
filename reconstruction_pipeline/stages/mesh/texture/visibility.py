"""Which views see a face, how well, and in which colour."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from reconstruction_pipeline.kernels.camera import PinholeView
from reconstruction_pipeline.stages.mesh.zbuffer import render_mesh

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Picture = npt.NDArray[np.uint8]

_SETTINGS: dict[str, Any] = {"nogil": True, "fastmath": True, "error_model": "numpy", "cache": True}
MIN_COSINE = 0.15
# Colours of one face in several views differ by exposure and gloss; beyond this (of 255) something stood before it.
COLOUR_TOLERANCE = 25.0
# A view is compared with this many before and after it.
SHARPNESS_WINDOW = 5


class Seen(NamedTuple):
    """`score` (F, V) float32: how well a view shows a face, in pixels of area; 0 where it does not show all of it.
    `pixels` (V, vertices, 2) float32: where the vertices lie in each picture, pixel centres at half integers."""

    score: npt.NDArray[np.float32]
    pixels: npt.NDArray[np.float32]


def see(
    vertices: Floats, faces: npt.NDArray[np.int32], views: Sequence[PinholeView], pictures: Sequence[Picture],
    counts: Sequence[Bools | None], slack: float, neighbours: npt.NDArray[np.int32],
) -> Seen:  # fmt: skip
    """Judge every face (F, 3) in every view.

    A face counts as seen when all of its corners and its middle are inside the picture, where the picture `counts`,
    not hidden by anything nearer by more than `slack` (world units), from its front and not at too flat an angle.
    Views in which its colour is far from the median of all are left out, also for its `neighbours` (F, 3; -1 for
    none) where others see these: something stood before it.
    """
    score = np.zeros((len(faces), len(views)), np.float32)
    colour = np.zeros((len(faces), len(views), 3), np.uint8)
    pixels = np.zeros((len(views), len(vertices), 2), np.float32)
    nothing = np.empty((len(vertices), 0), np.float32)
    sharp = relative_sharpness(pictures)
    for v, (view, picture, count) in enumerate(zip(views, pictures, counts, strict=True)):
        depth = render_mesh(vertices, faces, nothing, view).depth
        local = vertices @ view.rotation.T + view.translation
        z = np.where(np.abs(local[:, 2]) < 1e-9, 1e-9, local[:, 2])
        pixels[v] = np.column_stack([view.fx * local[:, 0] / z + view.cx, view.fy * local[:, 1] / z + view.cy])
        usable = np.ones(depth.shape, np.bool_) if count is None else count
        _judge(local, faces, pixels[v], depth, usable, picture, slack, sharp[v], score[:, v], colour[:, v])
    _drop_strangers(score, strangers(score, colour, COLOUR_TOLERANCE), neighbours)
    return Seen(score, pixels)


def relative_sharpness(pictures: Sequence[Picture]) -> Floats:
    """(V,) detail of each picture against its neighbours in time, 0.25 to 2: the blurred of like content has less."""
    import cv2

    detail = np.array([cv2.Laplacian(cv2.cvtColor(p, cv2.COLOR_RGB2GRAY), cv2.CV_32F).var() for p in pictures])
    near = [
        np.median(detail[max(0, i - SHARPNESS_WINDOW) : i + SHARPNESS_WINDOW + 1]) for i in range(len(detail))
    ]  # fmt: skip
    return np.clip(detail / np.maximum(near, 1e-6), 0.25, 2.0)


@njit(**_SETTINGS)
def _judge(local, faces, pixels, depth, usable, picture, slack, sharp, score, colour):  # type: ignore[no-untyped-def]
    for f in range(faces.shape[0]):
        middle_x, middle_y, middle_z, fine = 0.0, 0.0, 0.0, True
        for corner in range(3):
            i = faces[f, corner]
            middle_x += pixels[i, 0] / 3
            middle_y += pixels[i, 1] / 3
            middle_z += local[i, 2] / 3
            fine = fine and _shows(pixels[i, 0], pixels[i, 1], local[i, 2], depth, usable, slack)
        if not fine or not _shows(middle_x, middle_y, middle_z, depth, usable, slack):
            continue
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        p, q = local[b] - local[a], local[c] - local[a]
        n = np.array([p[1] * q[2] - p[2] * q[1], p[2] * q[0] - p[0] * q[2], p[0] * q[1] - p[1] * q[0]])
        middle = (local[a] + local[b] + local[c]) / 3
        size = np.sqrt((n * n).sum() * (middle * middle).sum())
        if size <= 0 or -(n * middle).sum() / size < MIN_COSINE:
            continue
        ab_x, ab_y = pixels[b, 0] - pixels[a, 0], pixels[b, 1] - pixels[a, 1]
        ac_x, ac_y = pixels[c, 0] - pixels[a, 0], pixels[c, 1] - pixels[a, 1]
        score[f] = sharp * (0.5 * abs(ab_x * ac_y - ac_x * ab_y) + 1e-3)
        for k in range(3):
            total = float(picture[int(middle_y), int(middle_x), k])
            for corner in range(3):
                total += picture[int(pixels[faces[f, corner], 1]), int(pixels[faces[f, corner], 0]), k]
            colour[f, k] = int(total / 4)


@njit(**_SETTINGS)
def _shows(x, y, z, depth, usable, slack):  # type: ignore[no-untyped-def]
    height, width = depth.shape
    if z <= 0 or x < 1.5 or y < 1.5 or x > width - 1.5 or y > height - 1.5:
        return False
    row, column = int(y), int(x)
    nearest = depth[row, column]
    return usable[row, column] and not (nearest > 0 and nearest < z - slack)


@njit(**_SETTINGS)
def strangers(score, colour, tolerance):  # type: ignore[no-untyped-def]
    """(F, V) bool: views in which a face's colour (F, V, 3) is not what at least two others agree on."""
    values = np.empty(score.shape[1])
    found = np.zeros(score.shape, np.bool_)
    for f in range(score.shape[0]):
        seen = np.nonzero(score[f] > 0)[0]
        if len(seen) < 3:
            continue
        for k in range(3):
            for n in range(len(seen)):
                values[n] = colour[f, seen[n], k]
            usual = np.median(values[: len(seen)])
            spread = np.median(np.abs(values[: len(seen)] - usual))
            for n in range(len(seen)):
                if abs(values[n] - usual) > tolerance + 3.0 * spread:
                    found[f, seen[n]] = True
    return found


@njit(**_SETTINGS)
def _drop_strangers(score, stranger, neighbours):  # type: ignore[no-untyped-def]
    for f in range(score.shape[0]):
        left = 0
        for v in range(score.shape[1]):
            if stranger[f, v]:
                score[f, v] = 0.0
            left += score[f, v] > 0
        # The outline of what stood there covers part of the faces around.
        for v in range(score.shape[1]):
            beside = False
            for k in range(3):
                beside = beside or (neighbours[f, k] >= 0 and stranger[neighbours[f, k], v])
            if beside and score[f, v] > 0 and left > 1:
                score[f, v] = 0.0
                left -= 1
