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
    FX,
    FY,
    NEAR,
    RECORD,
    SLOT,
    camera_position,
    clamped_slopes,
    covariance,
    dot,
    image_axes,
    image_jacobian,
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
def _combine(row_u, row_v, du, dv):
    """row_u du + row_v dv, as a 3-tuple."""
    return (
        row_u[0] * du + row_v[0] * dv,
        row_u[1] * du + row_v[1] * dv,
        row_u[2] * du + row_v[2] * dv,
    )


@inline
def _scaled(a, s):
    return (a[0] * s, a[1] * s, a[2] * s)


@inline
def _matvec(columns, v):
    """Matrix with these columns times v."""
    return (
        columns[0][0] * v[0] + columns[1][0] * v[1] + columns[2][0] * v[2],
        columns[0][1] * v[0] + columns[1][1] * v[1] + columns[2][1] * v[2],
        columns[0][2] * v[0] + columns[1][2] * v[1] + columns[2][2] * v[2],
    )


@inline
def _camera_row(camera, row, v):
    """Row of the camera rotation, dot v."""
    return get(camera, 3 * row) * v[0] + get(camera, 3 * row + 1) * v[1] + get(camera, 3 * row + 2) * v[2]


@inline
def _quaternion_gradient(q, inverse, d0, d1, d2):
    """Gradient by the stored quaternion, from those by the rotation's columns d0, d1, d2."""
    w, x, y, z = q
    gw = 2.0 * (z * (d0[1] - d1[0]) + y * (d2[0] - d0[2]) + x * (d1[2] - d2[1]))
    gx = 2.0 * (y * (d1[0] + d0[1]) + z * (d2[0] + d0[2]) + w * (d1[2] - d2[1])) - 4.0 * x * (d1[1] + d2[2])
    gy = 2.0 * (x * (d1[0] + d0[1]) + z * (d2[1] + d1[2]) + w * (d2[0] - d0[2])) - 4.0 * y * (d0[0] + d2[2])
    gz = 2.0 * (x * (d2[0] + d0[2]) + y * (d2[1] + d1[2]) + w * (d0[1] - d1[0])) - 4.0 * z * (d0[0] + d1[1])
    along = w * gw + x * gx + y * gy + z * gz
    return (
        (gw - w * along) * inverse,
        (gx - x * along) * inverse,
        (gy - y * along) * inverse,
        (gz - z * along) * inverse,
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
    in_front = position[2] > get(camera, NEAR)
    inverse_z = 1.0 / select(in_front, position[2], 1.0)
    u, v = clamped_slopes(position, inverse_z, camera)
    q, inverse_norm = unit_quaternion(planes, stride, i)
    columns = rotation_columns(q)
    row_u, row_v = image_jacobian(camera, u, v, inverse_z)
    sigma = scales(planes, stride, i)
    a, b = image_axes(row_u, row_v, columns, sigma)
    xx, xy, yy, determinant = covariance(a, b)
    usable = in_front & (determinant < 1e30)
    inverse = 1.0 / select(usable, determinant, 1.0)
    # The inverse covariance [[qa, qb], [qb, qc]], and H = Q S Q with S the second moments: dL/dA = H A.
    qa, qb, qc = yy * inverse, xy * -inverse, xx * inverse
    p00, p01 = qa * s[3] + qb * s[4], qa * s[4] + qb * s[5]
    p10, p11 = qb * s[3] + qc * s[4], qb * s[4] + qc * s[5]
    hxx, hxy, hyy = p00 * qa + p01 * qb, p00 * qb + p01 * qc, p10 * qb + p11 * qc
    da = (hxx * a[0] + hxy * b[0], hxx * a[1] + hxy * b[1], hxx * a[2] + hxy * b[2])
    db = (hxy * a[0] + hyy * b[0], hxy * a[1] + hyy * b[1], hxy * a[2] + hyy * b[2])
    _put(grads, LOG_SCALE * stride + i, a[0] * da[0] + b[0] * db[0], usable)
    _put(grads, (LOG_SCALE + 1) * stride + i, a[1] * da[1] + b[1] * db[1], usable)
    _put(grads, (LOG_SCALE + 2) * stride + i, a[2] * da[2] + b[2] * db[2], usable)
    rotation = _quaternion_gradient(
        q,
        inverse_norm,
        _scaled(_combine(row_u, row_v, da[0], db[0]), sigma[0]),
        _scaled(_combine(row_u, row_v, da[1], db[1]), sigma[1]),
        _scaled(_combine(row_u, row_v, da[2], db[2]), sigma[2]),
    )
    _put(grads, QUAT * stride + i, rotation[0], usable)
    _put(grads, (QUAT + 1) * stride + i, rotation[1], usable)
    _put(grads, (QUAT + 2) * stride + i, rotation[2], usable)
    _put(grads, (QUAT + 3) * stride + i, rotation[3], usable)
    near_one = exp2(load(planes, OPACITY * stride + i) * -LOG2_E)
    _put(grads, OPACITY * stride + i, s[0] * (near_one / (1.0 + near_one)), usable)
    # dL/d(rows of the image Jacobian) = dA M^T, then through fx/z (row 0 - u row 2) of the camera rotation.
    by_u = _matvec(columns, (da[0] * sigma[0], da[1] * sigma[1], da[2] * sigma[2]))
    by_v = _matvec(columns, (db[0] * sigma[0], db[1] * sigma[1], db[2] * sigma[2]))
    j, k = inverse_z * get(camera, FX), inverse_z * get(camera, FY)
    slope_u = _camera_row(camera, 2, by_u) * -j
    slope_v = _camera_row(camera, 2, by_v) * -k
    x_over_z, y_over_z = position[0] * inverse_z, position[1] * inverse_z
    slope_u = select((u < x_over_z) | (u > x_over_z), 0.0, slope_u)
    slope_v = select((v < y_over_z) | (v > y_over_z), 0.0, slope_v)
    move_u = j * (qa * s[1] + qb * s[2]) + slope_u * inverse_z
    move_v = k * (qb * s[1] + qc * s[2]) + slope_v * inverse_z
    move_z = s[9] - x_over_z * move_u - y_over_z * move_v
    move_z -= inverse_z * (dot(row_u, by_u) + dot(row_v, by_v))
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
def _group(planes, grads, stride, i, camera, degree, touched, records, records_int, slots, gathered):
    # Two times 59 streams are more than the hardware's prefetcher follows.
    for row in range(ROWS):
        prefetch(planes, row * stride + i + 16)
        prefetch_for_write(grads, row * stride + i + 16)
    if _gather(i, touched, records_int, slots, gathered):
        group_gradients(planes, grads, stride, i, camera, degree, records, gathered)
    else:
        for row in range(ROWS):
            store(grads, row * stride + i, 0.0)


@kernel(parallel=True)
def project_backward(
    planes, grads, stride, count, camera, degree, touched, records, records_int, slots, gathered,
    counter, workers,
):  # fmt: skip
    """Overwrite the gradients (flat, same stride as the planes) of all Gaussians."""
    counter[0] = 0
    for _ in prange(workers):
        first = fetch_and_add(counter, 0, CHUNK)
        while first < count:
            for i in range(first, min(first + CHUNK, count), 16):
                _group(planes, grads, stride, i, camera, degree, touched, records, records_int, slots, gathered)
            first = fetch_and_add(counter, 0, CHUNK)
