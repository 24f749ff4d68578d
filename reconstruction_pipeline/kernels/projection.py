"""Gaussians to the picture: EWA splatting of 16 Gaussians at a time (Zwicker et al. 2001; Kerbl et al. 2023).

Each visible Gaussian becomes one record of 16 floats (a cache line), so that the rasteriser touches one line per
Gaussian; its columns are the constants `MEAN_X` … `SLOT` below.  Exponents are kept in base 2: the alpha of a pixel
at offset (dx, dy) from the mean is `2^(LOG_OPACITY + QUAD_XX dx^2 + QUAD_XY dx dy + QUAD_YY dy^2)`.
"""

# mypy: ignore-errors
from __future__ import annotations

import numpy as np
from numba import prange

from reconstruction_pipeline.kernels import spherical_harmonics
from reconstruction_pipeline.kernels.jit import inline, kernel
from reconstruction_pipeline.kernels.layout import LOG_SCALE, MEAN, OPACITY, QUAT, ROWS
from reconstruction_pipeline.kernels.simd import (
    fetch_and_add,
    full,
    get,
    load,
    maximum,
    minimum,
    prefetch,
    select,
    store_ints,
)
from reconstruction_pipeline.kernels.simd_math import (
    LN_2,
    LOG2_E,
    exp2,
    float_bits,
    floor,
    log2,
    sqrt,
    store_transposed,
    to_int,
)

RECORD = 16
MEAN_X, MEAN_Y, QUAD_XX, QUAD_XY, QUAD_YY, LOG_OPACITY, RIDGE_X, RIDGE_Y = range(8)
RED, GREEN, BLUE, DEPTH, TILE_X, TILE_Y, TILES_WIDE, SLOT = range(8, 16)

TILE = 16
RECT_BITS = 12  # tile rectangles are packed as (first << RECT_BITS) | last: pictures up to 65536 px
LOW_PASS = 0.3  # px^2 added to the 2D covariance, so that no splat is thinner than a pixel
LOG_ALPHA_MIN = np.float32(-7.994353437)  # log2(1/255): fainter contributions are not drawn
DETERMINANT_MAX = np.float32(1e30)  # px^4; splats that cover still more are not drawn
MEAN_MAX = np.float32(1e8)  # px; nor are those whose mean lies farther from the picture
DEPTH_MAX = np.float32(1e8)  # scene units; nor what is farther, for the sake of the mean depth's gradient
CHUNK = 16 * 32  # Gaussians a worker takes at once

# The camera as 32 floats.
ROTATION, TRANSLATION, FX, FY, CX, CY, WIDTH, HEIGHT, NEAR = 0, 9, 12, 13, 14, 15, 16, 17, 18
CENTER, U_MIN, U_MAX, V_MIN, V_MAX = 19, 22, 23, 24, 25


def camera_constants(view, near):
    """The view as the float32[32] array that the kernels read."""
    constants = np.zeros(32, np.float32)
    constants[:9] = np.asarray(view.rotation).ravel()
    constants[9:12] = view.translation
    constants[12:19] = view.fx, view.fy, view.cx, view.cy, view.width, view.height, near
    constants[CENTER : CENTER + 3] = view.center
    # The affine approximation is taken no further than 15 % of the picture outside it, where it would explode.
    margin_x, margin_y = 0.15 * view.width, 0.15 * view.height
    constants[U_MIN], constants[U_MAX] = (-margin_x - view.cx) / view.fx, (view.width + margin_x - view.cx) / view.fx
    constants[V_MIN], constants[V_MAX] = (-margin_y - view.cy) / view.fy, (view.height + margin_y - view.cy) / view.fy
    return constants


@inline
def camera_position(planes, stride, i, camera):
    """World means and camera-frame positions of Gaussians i … i+15: (mx, my, mz), (x, y, z)."""
    mx = load(planes, MEAN * stride + i)
    my = load(planes, (MEAN + 1) * stride + i)
    mz = load(planes, (MEAN + 2) * stride + i)
    x = mx * get(camera, 0) + my * get(camera, 1) + mz * get(camera, 2) + get(camera, 9)
    y = mx * get(camera, 3) + my * get(camera, 4) + mz * get(camera, 5) + get(camera, 10)
    z = mx * get(camera, 6) + my * get(camera, 7) + mz * get(camera, 8) + get(camera, 11)
    return (mx, my, mz), (x, y, z)


@inline
def unit_quaternion(planes, stride, i):
    """(w, x, y, z) of unit length, and 1/length of what is stored."""
    w = load(planes, QUAT * stride + i)
    x = load(planes, (QUAT + 1) * stride + i)
    y = load(planes, (QUAT + 2) * stride + i)
    z = load(planes, (QUAT + 3) * stride + i)
    inverse = 1.0 / sqrt(maximum(w * w + x * x + y * y + z * z, 1e-24))
    return (w * inverse, x * inverse, y * inverse, z * inverse), inverse


@inline
def rotation_columns(q):
    """Columns of the rotation matrix of a unit quaternion."""
    w, x, y, z = q
    return (
        (1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y + w * z), 2.0 * (x * z - w * y)),
        (2.0 * (x * y - w * z), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z + w * x)),
        (2.0 * (x * z + w * y), 2.0 * (y * z - w * x), 1.0 - 2.0 * (x * x + y * y)),
    )


@inline
def dot(a, b):
    """Dot product of two 3-tuples of vectors."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@inline
def scales(planes, stride, i):
    """The three standard deviations, at least 2^-60, so that their reciprocals and squares are numbers too.

    (`maximum` gives its second argument where one is NaN, which `exp2` makes huge, so that it is not drawn.)
    """
    return (
        exp2(maximum(-60.0, load(planes, LOG_SCALE * stride + i) * LOG2_E)),
        exp2(maximum(-60.0, load(planes, (LOG_SCALE + 1) * stride + i) * LOG2_E)),
        exp2(maximum(-60.0, load(planes, (LOG_SCALE + 2) * stride + i) * LOG2_E)),
    )


@inline
def inside_reach(x_over_z, y_over_z, camera):
    """Whether the mean's place in the picture is a number of pixels that float32 can still work with."""
    mx = x_over_z * get(camera, FX) + get(camera, CX)
    my = y_over_z * get(camera, FY) + get(camera, CY)
    return (maximum(mx, -mx) < MEAN_MAX) & (maximum(my, -my) < MEAN_MAX)


@inline
def image_jacobian(camera, u, v, inverse_z):
    """Rows of d(pixel)/d(world), at the clamped image-plane position u, v = x/z, y/z."""
    j = get(camera, FX) * inverse_z
    k = get(camera, FY) * inverse_z
    row_u = (
        j * (get(camera, 0) - u * get(camera, 6)),
        j * (get(camera, 1) - u * get(camera, 7)),
        j * (get(camera, 2) - u * get(camera, 8)),
    )
    row_v = (
        k * (get(camera, 3) - v * get(camera, 6)),
        k * (get(camera, 4) - v * get(camera, 7)),
        k * (get(camera, 5) - v * get(camera, 8)),
    )
    return row_u, row_v


@inline
def image_axes(row_u, row_v, columns, s):
    """The 2x3 square root A of the 2D covariance A A^T + LOW_PASS: rows a, b (pixels)."""
    a = (dot(row_u, columns[0]) * s[0], dot(row_u, columns[1]) * s[1], dot(row_u, columns[2]) * s[2])
    b = (dot(row_v, columns[0]) * s[0], dot(row_v, columns[1]) * s[1], dot(row_v, columns[2]) * s[2])
    return a, b


@inline
def covariance(a, b):
    """Covariance (xx, xy, yy) and its determinant, as a sum of positive terms so that thin splats keep theirs."""
    aa, bb = dot(a, a), dot(b, b)
    cx = a[1] * b[2] - a[2] * b[1]
    cy = a[2] * b[0] - a[0] * b[2]
    cz = a[0] * b[1] - a[1] * b[0]
    determinant = cx * cx + cy * cy + cz * cz + LOW_PASS * (aa + bb) + LOW_PASS * LOW_PASS
    return aa + LOW_PASS, dot(a, b), bb + LOW_PASS, determinant


@inline
def view_direction(mean, camera):
    """Unit direction from the camera centre to the mean, and 1/distance."""
    x = mean[0] - get(camera, CENTER)
    y = mean[1] - get(camera, CENTER + 1)
    z = mean[2] - get(camera, CENTER + 2)
    inverse = 1.0 / sqrt(maximum(x * x + y * y + z * z, 1e-24))
    return (x * inverse, y * inverse, z * inverse), inverse


@inline
def clamped_slopes(position, inverse_z, camera):
    """x/z and y/z held inside the guard band around the picture."""
    u = minimum(maximum(position[0] * inverse_z, get(camera, U_MIN)), get(camera, U_MAX))
    v = minimum(maximum(position[1] * inverse_z, get(camera, V_MIN)), get(camera, V_MAX))
    return u, v


@inline
def project_group(planes, stride, i, camera, degree, records, touched, keys, rect_x, rect_y):
    """Project Gaussians i … i+15: records, number of tiles touched (0: invisible), depth bits, tile rectangles."""
    mean, position = camera_position(planes, stride, i, camera)
    z = position[2]
    in_front = (z > get(camera, NEAR)) & (z < DEPTH_MAX)
    inverse_z = 1.0 / select(in_front, z, 1.0)
    u, v = clamped_slopes(position, inverse_z, camera)
    q, _ = unit_quaternion(planes, stride, i)
    row_u, row_v = image_jacobian(camera, u, v, inverse_z)
    a, b = image_axes(row_u, row_v, rotation_columns(q), scales(planes, stride, i))
    xx, xy, yy, determinant = covariance(a, b)
    mx = position[0] * inverse_z * get(camera, FX) + get(camera, CX)
    my = position[1] * inverse_z * get(camera, FY) + get(camera, CY)
    log_opacity = -log2(1.0 + exp2(load(planes, OPACITY * stride + i) * -LOG2_E))
    headroom = log_opacity - LOG_ALPHA_MIN
    # Where 2^power stays above the threshold: power drops by `headroom` at these distances.
    reach = maximum(headroom, 0.0) * (2.0 * LN_2 * 1.002)
    extent_x, extent_y = sqrt(reach * xx), sqrt(reach * yy)
    x0 = maximum(-floor(0.5 - (mx - extent_x)), 0.0)
    x1 = minimum(floor(mx + extent_x - 0.5), get(camera, WIDTH) - 1.0)
    y0 = maximum(-floor(0.5 - (my - extent_y)), 0.0)
    y1 = minimum(floor(my + extent_y - 0.5), get(camera, HEIGHT) - 1.0)
    visible = in_front & (headroom >= 0.0) & (x0 <= x1) & (y0 <= y1) & (determinant < DETERMINANT_MAX)
    visible = visible & inside_reach(position[0] * inverse_z, position[1] * inverse_z, camera)
    left, right = floor(x0 * (1.0 / TILE)), floor(x1 * (1.0 / TILE))
    top, bottom = floor(y0 * (1.0 / TILE)), floor(y1 * (1.0 / TILE))
    wide, high = right - left + 1.0, bottom - top + 1.0
    store_ints(touched, i, to_int(select(visible, wide * high, 0.0)))
    store_ints(keys, i, float_bits(z))
    store_ints(rect_x, i, to_int(select(visible, left * (1 << RECT_BITS) + right, 0.0)))
    store_ints(rect_y, i, to_int(select(visible, top * (1 << RECT_BITS) + bottom, 0.0)))
    direction, _ = view_direction(mean, camera)
    red, green, blue = spherical_harmonics.evaluate(planes, stride, i, direction[0], direction[1], direction[2], degree)
    scale = (-0.5 * LOG2_E) / determinant
    store_transposed(
        records,
        i * RECORD,
        (
            mx,
            my,
            yy * scale,
            xy * scale * -2.0,
            xx * scale,
            log_opacity,
            xy / yy,
            xy / xx,
            maximum(red + 0.5, 0.0),
            maximum(green + 0.5, 0.0),
            maximum(blue + 0.5, 0.0),
            z,
            left,
            top,
            wide,
            full(0.0),
        ),
    )


@kernel(parallel=True)
def project(planes, stride, count, camera, degree, records, touched, keys, rect_x, rect_y, counter, workers):
    """Project all Gaussians; see `project_group`.  `planes` is flat, with `stride` columns."""
    counter[0] = 0
    for _ in prange(workers):
        first = fetch_and_add(counter, 0, CHUNK)
        while first < count:
            for i in range(first, min(first + CHUNK, count), 16):
                for row in range(ROWS):  # more streams than the hardware's prefetcher follows
                    prefetch(planes, row * stride + i + 16)
                project_group(planes, stride, i, camera, degree, records, touched, keys, rect_x, rect_y)
            first = fetch_and_add(counter, 0, CHUNK)
