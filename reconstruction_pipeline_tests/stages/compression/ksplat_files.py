"""`.ksplat` files for tests, written as its viewer does: one section, its last bucket not full."""

from __future__ import annotations

import struct

import numpy as np

from reconstruction_pipeline.artifacts.gaussian_splats import Gaussians
from reconstruction_pipeline.stages.compression.codecs.importance import sigmoid

SH_0 = 0.28209479177387814
MIDDLE, BLOCK, CAPACITY = 32767, 5.0, 64
BOUNDS = (-1.5, 1.5)
BANDS = {0: [], 1: [(1, 4)], 2: [(1, 4), (4, 9)]}


def ksplat_bytes(scene: Gaussians, level: int, degree: int = 2) -> bytes:
    """The scene with centres ordered by cubes of `BLOCK`, so that buckets are compact."""
    cube = np.floor(scene.means / BLOCK).astype(int)
    scene = scene.take(np.lexsort(cube.T))
    cubes, counts = np.unique(np.floor(scene.means / BLOCK)[:, ::-1], axis=0, return_counts=True)
    # np.unique sorts by z, y, x, as lexsort of x, y, z did.
    middles, full, left, start = [], [], [], 0
    rows_full, rows_left = [], []
    for corner, count in zip(cubes[:, ::-1], counts, strict=True):
        middle = (corner + 0.5) * BLOCK
        whole = count // CAPACITY * CAPACITY
        for first in range(0, whole, CAPACITY):
            full.append(middle)
            rows_full.append(np.arange(start + first, start + first + CAPACITY))
        if count > whole:
            left.append(middle)
            rows_left.append(np.arange(start + whole, start + count))
        start += count
    middles = np.array(full + left, "<f4")
    rows = np.concatenate(rows_full + rows_left)
    scene = scene.take(rows)
    at = np.repeat(middles, [len(r) for r in rows_full + rows_left], axis=0)
    if level == 0:
        at, middles, rows_left, full = None, middles[:0], [], []
    body = b"".join(_record(scene, row, None if at is None else at[row], level, degree) for row in range(scene.count))
    sizes = np.array([len(r) for r in rows_left], "<u4")
    head = bytearray(4096)
    struct.pack_into("<BB2xI8xIH", head, 0, 0, 1, 1, scene.count, level)
    struct.pack_into("<2f", head, 36, *BOUNDS)
    section = bytearray(1024)
    fields = (scene.count, scene.count, CAPACITY, len(middles), BLOCK, 12, MIDDLE, len(full), len(sizes), degree)
    struct.pack_into("<4IfH2xI4x2IH", section, 0, *fields)
    return bytes(head + section) + sizes.tobytes() + middles.tobytes() + body


def _record(scene: Gaussians, row: int, middle: np.ndarray | None, level: int, degree: int) -> bytes:
    mean, shape = scene.means[row], "<f4" if level == 0 else "<f2"
    if middle is not None:
        mean = np.rint((mean - middle) / (BLOCK / 2) * MIDDLE + MIDDLE).clip(0, 65535)
    rest = np.concatenate([scene.sh[row, a:b].T.ravel() for a, b in BANDS[degree]] or [np.zeros(0)])
    if level == 2:
        rest = np.rint((rest - BOUNDS[0]) / (BOUNDS[1] - BOUNDS[0]) * 255).clip(0, 255)
    colour = np.append(0.5 + SH_0 * scene.sh[row, 0], sigmoid(scene.opacity_logits[row : row + 1]))
    return b"".join(
        np.asarray(values).astype(kind).tobytes()
        for values, kind in (
            (mean, "<f4" if level == 0 else "<u2"),
            (np.exp(scene.log_scales[row]), shape),
            (scene.quats[row], shape),
            (np.rint(colour.clip(0, 1) * 255), "u1"),
            (rest, {0: "<f4", 1: "<f2", 2: "u1"}[level]),
        )
    )
