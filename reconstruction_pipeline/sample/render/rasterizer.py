"""A z-buffer rasteriser with mip-mapped textures.

A pixel's ray is d = (x, y, 1) in the camera frame; with a triangle's corners as the columns of M, M^-1 d holds
(barycentric coordinate) / depth of each corner: three functions that are linear on the screen, all of them positive
inside. It needs no clipping at the near plane (Olano and Greer, "Triangle scan conversion using 2D homogeneous
coordinates", 1997). Rows are filled as spans, so that the inner loop is one comparison, which vectorises.

No fast-math: the same input gives the same bytes. The kernels run on one thread and let go of the interpreter lock:
frames are drawn side by side (`frame.Renderer` per thread), which scales better than dividing one frame, and compiles
several times faster than numba's parallel loops.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

_NEAR = 0.02  # metres


@njit(cache=True, nogil=True, error_model="numpy")
def to_camera(vertices, rotation, translation, out):  # type: ignore[no-untyped-def]
    """World points (v, 3) into the camera frame."""
    for v in range(vertices.shape[0]):
        x, y, z = vertices[v, 0], vertices[v, 1], vertices[v, 2]
        for r in range(3):
            out[v, r] = rotation[r, 0] * x + rotation[r, 1] * y + rotation[r, 2] * z + translation[r]


@njit(cache=True, nogil=True, error_model="numpy")
def _set_corner(edge, planes, a, b, c, u, v):  # type: ignore[no-untyped-def]
    """Stores one corner's edge function and adds its share to the planes."""
    edge[0], edge[1], edge[2] = a, b, c
    for m in range(3):
        planes[0, m] += edge[m]
        planes[1, m] += edge[m] * u
        planes[2, m] += edge[m] * v


@njit(cache=True, nogil=True, error_model="numpy")
def set_up(points, uv, faces, face_shape, focal, center_x, center_y, width, height, edges, planes, bounds):  # type: ignore[no-untyped-def]
    """Per triangle: edge functions, texel functions and the pixels it may touch.

    `points` (v, 3) are in the camera frame; `face_shape` (t, 2) is the texture's (height, width). Fills `edges`
    (t, 3, 3) and `planes` (t, 3, 3): row (a, b, c) stands for a*x + b*y + c at pixel coordinates (x, y). Edges are
    barycentric/depth; planes are 1/depth, u_texel/depth, v_texel/depth. `bounds` (t, 4) int32 is first and last column
    and row; a triangle that is out of sight has last < first and the rest unset.
    """
    for t in range(faces.shape[0]):
        bounds[t, 0], bounds[t, 1] = 0, -1
        ax, ay, az = points[faces[t, 0], 0], points[faces[t, 0], 1], points[faces[t, 0], 2]
        bx, by, bz = points[faces[t, 1], 0], points[faces[t, 1], 1], points[faces[t, 1], 2]
        cx, cy, cz = points[faces[t, 2], 0], points[faces[t, 2], 1], points[faces[t, 2], 2]
        if max(az, bz, cz) < _NEAR:
            continue
        x0, x1, y0, y1 = -1.0, width + 1.0, -1.0, height + 1.0
        if min(az, bz, cz) > _NEAR:
            xa, xb, xc = focal * ax / az + center_x, focal * bx / bz + center_x, focal * cx / cz + center_x
            ya, yb, yc = focal * ay / az + center_y, focal * by / bz + center_y, focal * cy / cz + center_y
            x0, x1, y0, y1 = min(xa, xb, xc), max(xa, xb, xc), min(ya, yb, yc), max(ya, yb, yc)
            if x1 < 0 or y1 < 0 or x0 > width or y0 > height:
                continue
        # The rows of the inverse are the cross products b x c, c x a, a x b over the determinant.
        px, py, pz = by * cz - bz * cy, bz * cx - bx * cz, bx * cy - by * cx
        qx, qy, qz = cy * az - cz * ay, cz * ax - cx * az, cx * ay - cy * ax
        rx, ry, rz = ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx
        determinant = ax * px + ay * py + az * pz
        if abs(determinant) < 1e-14:  # seen edge on
            continue
        planes[t, :, :] = 0.0
        k = 1.0 / determinant
        for i in range(3):
            if i == 1:
                px, py, pz = qx, qy, qz
            elif i == 2:
                px, py, pz = rx, ry, rz
            a, b = px * k / focal, py * k / focal
            u, v = uv[faces[t, i], 0] * face_shape[t, 1], uv[faces[t, i], 1] * face_shape[t, 0]
            _set_corner(edges[t, i], planes[t], a, b, pz * k - a * center_x - b * center_y, u, v)
        bounds[t, 0] = max(0, math.floor(x0 - 0.5))
        bounds[t, 1] = min(width - 1, math.ceil(x1 + 0.5))
        bounds[t, 2] = max(0, math.floor(y0 - 0.5))
        bounds[t, 3] = min(height - 1, math.ceil(y1 + 0.5))


@njit(cache=True, nogil=True, error_model="numpy")
def visible(edges, planes, bounds, inverse_depth, owner):  # type: ignore[no-untyped-def]
    """Fills the nearest triangle of each pixel: `inverse_depth` (h, w) float32 (0: none), `owner` (h, w) int32 (-1)."""
    inverse_depth[:, :] = 0
    owner[:, :] = -1
    for t in range(bounds.shape[0]):
        if bounds[t, 1] < bounds[t, 0]:
            continue
        for row in range(bounds[t, 2], bounds[t, 3] + 1):
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
            start, stop = max(0, math.ceil(low - 0.5001)), math.floor(high - 0.4999)
            slope = planes[t, 0, 0]
            base = slope * 0.5 + planes[t, 0, 1] * y + planes[t, 0, 2]
            for x in range(start, stop + 1):
                w = np.float32(base + slope * x)
                if w > inverse_depth[row, x]:
                    inverse_depth[row, x] = w
                    owner[row, x] = t


@njit(cache=True, nogil=True, error_model="numpy")
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
    for row in range(height):
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
