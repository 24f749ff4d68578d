"""From the gradients of records back to the Gaussians' parameters, 16 Gaussians at a time.

Inverse of `projection`, whose intermediate results are computed again: that is cheaper than keeping them.
"""

# mypy: ignore-errors
from __future__ import annotations

import numpy as np
from numba import prange

from reconstruction_pipeline.kernels import spherical_harmonics
from reconstruction_pipeline.kernels.jit import device, inline, kernel
from reconstruction_pipeline.kernels.layout import LOG_SCALE, MEAN, OPACITY, QUAT, ROWS
from reconstruction_pipeline.kernels.projection import (
    CHUNK,
    DEPTH_MAX,
    DETERMINANT_MAX,
    FX,
    FY,
    LOW_PASS,
    NEAR,
    RECORD,
    SLOT,
    camera_position,
    clamped_slopes,
    covariance,
    dot,
    image_axes,
    image_jacobian,
    inside_reach,
    rotation_columns,
    scales,
    unit_quaternion,
    view_direction,
)
from reconstruction_pipeline.kernels.raster_backward import SLOT_SIZE
from reconstruction_pipeline.kernels.simd import (
    fetch_and_add,
    full,
    get,
    load,
    prefetch,
    prefetch_for_write,
    select,
    store,
)
from reconstruction_pipeline.kernels.simd_math import LOG2_E, exp2, load_transposed


@inline
def _scaled(a, s):
    return (a[0] * s, a[1] * s, a[2] * s)


@inline
def _camera_row(camera, row, v):
    """Row of the camera rotation, dot v."""
    return get(camera, 3 * row) * v[0] + get(camera, 3 * row + 1) * v[1] + get(camera, 3 * row + 2) * v[2]


@inline
def _whitened(a, b, determinant):
    """Rows u, v of Y, the inverse 2D covariance times its root [a; b].

    As cross products instead of as matrix products, whose terms cancel for long thin splats.
    """
    cx = a[1] * b[2] - a[2] * b[1]
    cy = a[2] * b[0] - a[0] * b[2]
    cz = a[0] * b[1] - a[1] * b[0]
    inverse = 1.0 / determinant
    u = (
        (a[0] * LOW_PASS + (b[1] * cz - b[2] * cy)) * inverse,
        (a[1] * LOW_PASS + (b[2] * cx - b[0] * cz)) * inverse,
        (a[2] * LOW_PASS + (b[0] * cy - b[1] * cx)) * inverse,
    )
    v = (
        (b[0] * LOW_PASS + (cy * a[2] - cz * a[1])) * inverse,
        (b[1] * LOW_PASS + (cz * a[0] - cx * a[2])) * inverse,
        (b[2] * LOW_PASS + (cx * a[1] - cy * a[0])) * inverse,
    )
    return u, v


@inline
def _turn(u, v, su, sv, sigma):
    """Gradient by a small rotation about the Gaussian's own axes, with [su; sv] = S Y.

    Turning axis j towards axis k moves dL by (sigma_k^2 - sigma_j^2) N_j S N_k, N being Y without the scales.
    """
    r = (1.0 / sigma[0], 1.0 / sigma[1], 1.0 / sigma[2])
    yz, zx, xy = (
        u[1] * su[2] + v[1] * sv[2],
        u[2] * su[0] + v[2] * sv[0],
        u[0] * su[1] + v[0] * sv[1],
    )
    return (
        yz * r[2] * sigma[1] - yz * r[1] * sigma[2],
        zx * r[0] * sigma[2] - zx * r[2] * sigma[0],
        xy * r[1] * sigma[0] - xy * r[0] * sigma[1],
    )


@inline
def _quaternion_gradient(q, inverse, turn):
    """Gradient by the stored quaternion (1/length `inverse`), from that by a rotation about the Gaussian's axes."""
    w, x, y, z = q
    tx, ty, tz = _scaled(turn, inverse * 2.0)
    return (
        -x * tx - y * ty - z * tz,
        w * tx - z * ty + y * tz,
        z * tx + w * ty - x * tz,
        x * ty - y * tx + w * tz,
    )


@device
def _gather(i, touched, records_int, slots, gathered):
    """Sum each Gaussian's slots into `gathered[16 i:]`; returns whether any of the 16 is visible."""
    seen = False
    for k in range(i, i + 16):
        total = full(0.0)
        if touched[k] > 0:
            seen = True
            first = np.int64(get(records_int, k * RECORD + SLOT))
            for slot in range(first, first + touched[k]):
                total += load(slots, slot * SLOT_SIZE)
        store(gathered, k * SLOT_SIZE, total)
    return seen


@inline
def group_gradients(planes, grads, stride, i, camera, degree, records, gathered):
    """Gradients of Gaussians i … i+15, from `gathered` (zero for the invisible)."""
    s = load_transposed(gathered, i * SLOT_SIZE)
    colour = load_transposed(records, i * RECORD)
    mean, position = camera_position(planes, stride, i, camera)
    in_front = (position[2] > get(camera, NEAR)) & (position[2] < DEPTH_MAX)
    inverse_z = 1.0 / select(in_front, position[2], 1.0)
    u, v = clamped_slopes(position, inverse_z, camera)
    q, inverse_norm = unit_quaternion(planes, stride, i)
    columns = rotation_columns(q)
    row_u, row_v = image_jacobian(camera, u, v, inverse_z)
    sigma = scales(planes, stride, i)
    a, b = image_axes(row_u, row_v, columns, sigma)
    xx, xy, yy, determinant = covariance(a, b)
    x_over_z, y_over_z = position[0] * inverse_z, position[1] * inverse_z
    usable = in_front & (determinant < DETERMINANT_MAX) & inside_reach(x_over_z, y_over_z, camera)
    determinant = select(usable, determinant, 1.0)
    # With Q the inverse covariance, S the second moments and Y = Q A: dL/dA = Q S Y, and by each log scale Y_k S Y_k.
    yu, yv = _whitened(a, b, determinant)
    su = (s[3] * yu[0] + s[4] * yv[0], s[3] * yu[1] + s[4] * yv[1], s[3] * yu[2] + s[4] * yv[2])
    sv = (s[4] * yu[0] + s[5] * yv[0], s[4] * yu[1] + s[5] * yv[1], s[4] * yu[2] + s[5] * yv[2])
    stretch = (yu[0] * su[0] + yv[0] * sv[0], yu[1] * su[1] + yv[1] * sv[1], yu[2] * su[2] + yv[2] * sv[2])
    _put(grads, LOG_SCALE * stride + i, stretch[0], usable)
    _put(grads, (LOG_SCALE + 1) * stride + i, stretch[1], usable)
    _put(grads, (LOG_SCALE + 2) * stride + i, stretch[2], usable)
    rotation = _quaternion_gradient(q, inverse_norm, _turn(yu, yv, su, sv, sigma))
    _put(grads, QUAT * stride + i, rotation[0], usable)
    _put(grads, (QUAT + 1) * stride + i, rotation[1], usable)
    _put(grads, (QUAT + 2) * stride + i, rotation[2], usable)
    _put(grads, (QUAT + 3) * stride + i, rotation[3], usable)
    near_one = exp2(load(planes, OPACITY * stride + i) * -LOG2_E)
    _put(grads, OPACITY * stride + i, s[0] * (near_one / (1.0 + near_one)), usable)
    # A nearer or farther centre scales the image Jacobian; a sideways one turns it by the depth of the axes.
    inverse = 1.0 / determinant
    qa, qb, qc = yy * inverse, xy * -inverse, xx * inverse
    depths = (
        _camera_row(camera, 2, columns[0]) * sigma[0],
        _camera_row(camera, 2, columns[1]) * sigma[1],
        _camera_row(camera, 2, columns[2]) * sigma[2],
    )
    depth_u, depth_v = dot(su, depths), dot(sv, depths)
    j, k = inverse_z * get(camera, FX), inverse_z * get(camera, FY)
    slope_u, slope_v = (qa * depth_u + qb * depth_v) * -j, (qb * depth_u + qc * depth_v) * -k
    slope_u = select((u < x_over_z) | (u > x_over_z), 0.0, slope_u)
    slope_v = select((v < y_over_z) | (v > y_over_z), 0.0, slope_v)
    move_u = j * (qa * s[1] + qb * s[2]) + slope_u * inverse_z
    move_v = k * (qb * s[1] + qc * s[2]) + slope_v * inverse_z
    move_z = s[9] - x_over_z * move_u - y_over_z * move_v
    move_z -= inverse_z * (stretch[0] + stretch[1] + stretch[2])
    direction, inverse_distance = view_direction(mean, camera)
    pull = (
        select(colour[8] > 0.0, s[6], 0.0),
        select(colour[9] > 0.0, s[7], 0.0),
        select(colour[10] > 0.0, s[8], 0.0),
    )
    turn = spherical_harmonics.backward(
        planes, grads, stride, i, direction[0], direction[1], direction[2], degree, pull
    )
    along = dot(direction, turn)
    for_x = (turn[0] - direction[0] * along) * inverse_distance
    for_y = (turn[1] - direction[1] * along) * inverse_distance
    for_z = (turn[2] - direction[2] * along) * inverse_distance
    moved = (
        move_u * get(camera, 0) + move_v * get(camera, 3) + move_z * get(camera, 6) + for_x,
        move_u * get(camera, 1) + move_v * get(camera, 4) + move_z * get(camera, 7) + for_y,
        move_u * get(camera, 2) + move_v * get(camera, 5) + move_z * get(camera, 8) + for_z,
    )
    _put(grads, MEAN * stride + i, moved[0], usable)
    _put(grads, (MEAN + 1) * stride + i, moved[1], usable)
    _put(grads, (MEAN + 2) * stride + i, moved[2], usable)


@inline
def _put(grads, at, value, usable):
    store(grads, at, select(usable, value, 0.0))


@device
def _group(planes, grads, stride, i, camera, degree, touched, records, records_int, slots, summed, gathered):
    # Two times 59 streams are more than the hardware's prefetcher follows.
    for row in range(ROWS):
        prefetch(planes, row * stride + i + 16)
        prefetch_for_write(grads, row * stride + i + 16)
    if summed or _gather(i, touched, records_int, slots, gathered):
        group_gradients(planes, grads, stride, i, camera, degree, records, gathered)
    else:
        for row in range(ROWS):
            store(grads, row * stride + i, 0.0)


@kernel(parallel=True)
def project_backward(
    planes, grads, stride, count, camera, degree, touched, records, records_int, slots, summed, gathered,
    counter, workers,
):  # fmt: skip
    """Overwrite the gradients (flat, same stride as the planes) of all Gaussians.

    With `summed`, their slots have been added up in `gathered` already (zero for the invisible).
    """
    counter[0] = 0
    for _ in prange(workers):
        first = fetch_and_add(counter, 0, CHUNK)
        while first < count:
            for i in range(first, min(first + CHUNK, count), 16):
                _group(planes, grads, stride, i, camera, degree, touched, records, records_int, slots, summed, gathered)
            first = fetch_and_add(counter, 0, CHUNK)
