"""The twenty-four ways to say the same ellipsoid, among which a codec may choose.

The axes of an ellipsoid have no order and no sign: turning its frame by any of the 24 rotations of a cube, and
reordering its sizes alike, changes nothing that is drawn. Where three components of the quaternion are kept in a
byte each, one of 24 points lies closer to that grid, or has more common codes, than the one that was trained.
"""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def cube_rotations() -> tuple[Array, npt.NDArray[np.int64]]:
    """The 24 rotations of a cube: quaternions wxyz (24, 4), and which old axis each new axis is, up to sign (24, 3)."""
    quats, orders = [], []
    # Unit quaternions with all components equal in size, or two, or one; each rotation once, by its first sign.
    for components in itertools.product((-1.0, 0.0, 1.0), repeat=4):
        quat = np.array(components)
        if np.count_nonzero(quat) in (1, 2, 4) and quat[np.flatnonzero(quat)[0]] > 0:
            quats.append(quat / np.linalg.norm(quat))
            orders.append(np.abs(_matrix(quats[-1])).argmax(axis=0))
    return np.array(quats), np.array(orders, np.int64)


def multiply(a: npt.NDArray[np.floating], b: npt.NDArray[np.floating]) -> Array:
    """Hamilton product of quaternions wxyz; (N, 4) or (4,) on either side."""
    aw, ax, ay, az = (a[..., i] for i in range(4))
    bw, bx, by, bz = (b[..., i] for i in range(4))
    return np.stack(
        [
            aw * bw - ax * bx - ay * by - az * bz,
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
        ],
        axis=-1,
    )


def _matrix(quat: Array) -> Array:
    columns = [multiply(multiply(quat, np.array([0.0, *axis])), quat * [1, -1, -1, -1])[1:] for axis in np.eye(3)]
    return np.stack(columns, axis=1)
