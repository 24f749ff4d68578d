"""Depth and colour of a triangle mesh from a camera, to compare it with the views and to show it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from reconstruction_pipeline.kernels.camera import PinholeView

Floats = npt.NDArray[np.float32]
_SETTINGS: dict[str, Any] = {"nogil": True, "fastmath": True, "error_model": "numpy", "cache": True}


class Rendering(NamedTuple):
    """`depth` (H, W) float32, z, 0 for nothing; `attributes` (H, W, A) float32; `face` (H, W) int32, -1 for nothing."""

    depth: Floats
    attributes: Floats
    face: npt.NDArray[np.int32]


def render_mesh(
    vertices: npt.ArrayLike, faces: npt.NDArray[np.int32], attributes: Floats, view: PinholeView
) -> Rendering:
    """Render vertices (V, 3) with attributes (V, A) per vertex; triangles that reach behind the camera are left out."""
    local = np.asarray(vertices, np.float64) @ view.rotation.T + view.translation
    near = 1e-6 + 1e-3 * float(np.median(np.abs(local[:, 2]))) if len(local) else 1e-6
    depth = np.zeros((view.height, view.width), np.float32)
    out = np.zeros((view.height, view.width, attributes.shape[1]), np.float32)
    face = np.full((view.height, view.width), -1, np.int32)
    pinhole = np.array([view.fx, view.fy, view.cx, view.cy])
    _draw(local, faces, attributes.astype(np.float32), pinhole, near, depth, out, face)
    return Rendering(depth, out, face)


@njit(**_SETTINGS)
def _draw(local, faces, attributes, pinhole, near, depth, out, face):  # type: ignore[no-untyped-def]
    height, width = depth.shape
    fx, fy, cx, cy = pinhole
    for f in range(faces.shape[0]):
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        za, zb, zc = local[a, 2], local[b, 2], local[c, 2]
        if za < near or zb < near or zc < near:
            continue
        xa, ya = fx * local[a, 0] / za + cx, fy * local[a, 1] / za + cy
        xb, yb = fx * local[b, 0] / zb + cx, fy * local[b, 1] / zb + cy
        xc, yc = fx * local[c, 0] / zc + cx, fy * local[c, 1] / zc + cy
        left = max(int(np.ceil(min(xa, min(xb, xc)) - 0.5)), 0)
        right = min(int(np.floor(max(xa, max(xb, xc)) - 0.5)), width - 1)
        top = max(int(np.ceil(min(ya, min(yb, yc)) - 0.5)), 0)
        bottom = min(int(np.floor(max(ya, max(yb, yc)) - 0.5)), height - 1)
        area = (xb - xa) * (yc - ya) - (xc - xa) * (yb - ya)
        if area == 0.0:
            continue
        for y in range(top, bottom + 1):
            for x in range(left, right + 1):
                px, py = x + 0.5, y + 0.5
                wa = ((xb - px) * (yc - py) - (xc - px) * (yb - py)) / area
                wb = ((xc - px) * (ya - py) - (xa - px) * (yc - py)) / area
                wc = 1.0 - wa - wb
                if wa < 0.0 or wb < 0.0 or wc < 0.0:
                    continue
                # 1/z is linear on the screen; so is an attribute divided by z.
                ia, ib, ic = wa / za, wb / zb, wc / zc
                z = 1.0 / (ia + ib + ic)
                if depth[y, x] > 0.0 and depth[y, x] <= z:
                    continue
                depth[y, x] = z
                face[y, x] = f
                for k in range(attributes.shape[1]):
                    out[y, x, k] = z * (ia * attributes[a, k] + ib * attributes[b, k] + ic * attributes[c, k])
