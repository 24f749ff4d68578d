"""A z-buffer rasteriser with mip-mapped textures.

A pixel's ray is d = (x, y, 1) in the camera frame; with a triangle's corners as the columns of M, M^-1 d holds
(barycentric coordinate) / depth of each corner: three functions that are linear on the screen, all of them positive
inside. It needs no clipping at the near plane (Olano and Greer, "Triangle scan conversion using 2D homogeneous
coordinates", 1997). Rows are filled as spans, so that the inner loop is one comparison, which vectorises.

No fast-math: the same input gives the same bytes.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit, prange

_BAND = 24  # rows a thread fills at a time
_NEAR = 0.02  # metres


@njit(cache=True, parallel=True, error_model="numpy")
def set_up(vertices, uv, faces, face_shape, rotation, translation, focal, cx, cy, width, height):  # type: ignore[no-untyped-def]
    """Per triangle: edge functions, texel functions and the pixels it may touch.

    `face_shape` (t, 2) is the texture's (height, width). Returns `edges` (t, 3, 3) and `planes` (t, 3, 3): row (a, b, c)
    stands for a*x + b*y + c at pixel coordinates (x, y). Edges are barycentric/depth; planes are 1/depth,
    u_texel/depth, v_texel/depth. `bounds` (t, 4) int32 is first and last column and row; an empty triangle has
    last < first.
    """
    count = faces.shape[0]
    edges = np.zeros((count, 3, 3))
    planes = np.zeros((count, 3, 3))
    bounds = np.zeros((count, 4), np.int32)
    for t in prange(count):
        bounds[t, 1] = -1
        p = np.empty((3, 3))
        nearest, farthest = 1e30, -1e30
        for i in range(3):
            vertex = faces[t, i]
            for r in range(3):
                p[r, i] = (
                    rotation[r, 0] * vertices[vertex, 0]
                    + rotation[r, 1] * vertices[vertex, 1]
                    + rotation[r, 2] * vertices[vertex, 2]
                    + translation[r]
                )
            nearest = min(nearest, p[2, i])
            farthest = max(farthest, p[2, i])
        if farthest < _NEAR:
            continue
        x0, x1, y0, y1 = -1.0, width + 1.0, -1.0, height + 1.0
        if nearest > _NEAR:
            x0, x1, y0, y1 = 1e30, -1e30, 1e30, -1e30
            for i in range(3):
                x = focal * p[0, i] / p[2, i] + cx
                y = focal * p[1, i] / p[2, i] + cy
                x0, x1, y0, y1 = min(x0, x), max(x1, x), min(y0, y), max(y1, y)
        if x1 < 0 or y1 < 0 or x0 > width or y0 > height:
            continue
        determinant = (
            p[0, 0] * (p[1, 1] * p[2, 2] - p[1, 2] * p[2, 1])
            - p[0, 1] * (p[1, 0] * p[2, 2] - p[1, 2] * p[2, 0])
            + p[0, 2] * (p[1, 0] * p[2, 1] - p[1, 1] * p[2, 0])
        )
        if abs(determinant) < 1e-14:  # seen edge on
            continue
        for i in range(3):
            j, k = (i + 1) % 3, (i + 2) % 3
            a = (p[1, j] * p[2, k] - p[2, j] * p[1, k]) / determinant
            b = (p[2, j] * p[0, k] - p[0, j] * p[2, k]) / determinant
            c = (p[0, j] * p[1, k] - p[1, j] * p[0, k]) / determinant
            edges[t, i, 0] = a / focal
            edges[t, i, 1] = b / focal
            edges[t, i, 2] = c - a * cx / focal - b * cy / focal
            u = uv[faces[t, i], 0] * face_shape[t, 1]
            v = uv[faces[t, i], 1] * face_shape[t, 0]
            for m in range(3):
                planes[t, 0, m] += edges[t, i, m]
                planes[t, 1, m] += edges[t, i, m] * u
                planes[t, 2, m] += edges[t, i, m] * v
        bounds[t, 0] = max(0, math.floor(x0 - 0.5))
        bounds[t, 1] = min(width - 1, math.ceil(x1 + 0.5))
        bounds[t, 2] = max(0, math.floor(y0 - 0.5))
        bounds[t, 3] = min(height - 1, math.ceil(y1 + 0.5))
    return edges, planes, bounds


@njit(cache=True, error_model="numpy")
def _fill(t, edges, planes, bounds, first_row, last_row, inverse_depth, owner):  # type: ignore[no-untyped-def]
    """Draws triangle `t` into rows first_row..last_row."""
    for row in range(max(first_row, bounds[t, 2]), min(last_row, bounds[t, 3]) + 1):
        y = row + 0.5
        low, high = bounds[t, 0] + 0.5, bounds[t, 1] + 0.5
        for i in range(3):
            a = edges[t, i, 0]
            k = edges[t, i, 1] * y + edges[t, i, 2]
            if a > 0:
                low = max(low, -k / a)
            elif a < 0:
                high = min(high, -k / a)
            elif k < 0:
                high = -1.0
        # Neighbours share an edge: the tolerance keeps rounding from opening a crack between them.
        start, stop = math.ceil(low - 0.5001), math.floor(high - 0.4999)
        slope = planes[t, 0, 0]
        base = slope * 0.5 + planes[t, 0, 1] * y + planes[t, 0, 2]
        for x in range(max(start, 0), stop + 1):
            w = np.float32(base + slope * x)
            if w > inverse_depth[row, x]:
                inverse_depth[row, x] = w
                owner[row, x] = t


@njit(cache=True, parallel=True, error_model="numpy")
def visible(edges, planes, bounds, inverse_depth, owner):  # type: ignore[no-untyped-def]
    """The nearest triangle of each pixel: fills `inverse_depth` (h, w) float32, 0 before, and `owner` (h, w) int32, -1
    before. (They come from outside because numba would make parallel loops of their filling, in chunks of one.)
    """
    height = owner.shape[0]
    for band in prange((height + _BAND - 1) // _BAND):
        first, last = band * _BAND, min(height, (band + 1) * _BAND) - 1
        for t in range(bounds.shape[0]):
            if bounds[t, 1] >= bounds[t, 0] and bounds[t, 3] >= first and bounds[t, 2] <= last:
                _fill(t, edges, planes, bounds, first, last, inverse_depth, owner)


@njit(cache=True, parallel=True, error_model="numpy")
def accumulate(owner, planes, face_patch, texels, offsets, shapes, sharpness, gain, out):  # type: ignore[no-untyped-def]
    """Adds `gain` times the squared texture values under each pixel to `out` (h, w, 3) float32.

    `texels` (n,) uint32 holds a texel's three bytes. The mip level follows the narrow side of the pixel's footprint,
    not narrower than a third of its long side: the samples of the other sub-frames, elsewhere in the pixel, cover the
    long side. `sharpness` lowers the level for the same reason, by a little more or less in each sub-frame, which makes
    their mean a blend between levels.
    """
    height, width = owner.shape
    bias = 4.0**-sharpness
    one = np.float32(1)
    for row in prange(height):
        y = row + 0.5
        for column in range(width):
            t = owner[row, column]
            if t < 0:
                continue
            x = column + 0.5
            wx, wy, wc = planes[t, 0, 0], planes[t, 0, 1], planes[t, 0, 2]
            px, py, pc = planes[t, 1, 0], planes[t, 1, 1], planes[t, 1, 2]
            qx, qy, qc = planes[t, 2, 0], planes[t, 2, 1], planes[t, 2, 2]
            z = 1.0 / (wx * x + wy * y + wc)
            u = (px * x + py * y + pc) * z
            v = (qx * x + qy * y + qc) * z
            ux, uy = (px - u * wx) * z, (py - u * wy) * z
            vx, vy = (qx - v * wx) * z, (qy - v * wy) * z
            major = max(ux * ux + vx * vx, uy * uy + vy * vy)
            area = ux * vy - uy * vx
            footprint = bias * max(area * area / (major + 1e-12), major * 0.1)
            level, scale = 0, 1.0
            while footprint >= 4.0 and level < offsets.shape[1] - 1:
                footprint *= 0.25
                scale *= 0.5
                level += 1
            patch = face_patch[t]
            h, w = max(1, shapes[patch, 0] >> level), max(1, shapes[patch, 1] >> level)
            s = min(max(u * scale - 0.5, 0.0), w - 1.0)
            r = min(max(v * scale - 0.5, 0.0), h - 1.0)
            s0, r0 = int(s), int(r)
            fs, fr = np.float32(s - s0), np.float32(r - r0)
            right, below = min(1, w - 1 - s0), w * min(1, h - 1 - r0)
            corner = np.uint64(offsets[patch, level] + r0 * w + s0)
            a, b = texels[corner], texels[corner + np.uint64(right)]
            c, d = texels[corner + np.uint64(below)], texels[corner + np.uint64(below + right)]
            wa, wb = (one - fr) * (one - fs) * gain, (one - fr) * fs * gain
            wc_, wd = fr * (one - fs) * gain, fr * fs * gain
            for channel in range(3):
                shift = np.uint32(8 * channel)
                byte = np.uint32(255)
                ta, tb = np.float32((a >> shift) & byte), np.float32((b >> shift) & byte)
                tc, td = np.float32((c >> shift) & byte), np.float32((d >> shift) & byte)
                out[row, column, channel] += wa * ta * ta + wb * tb * tb + wc_ * tc * tc + wd * td * td
