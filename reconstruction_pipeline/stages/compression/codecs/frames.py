"""Between the delivered world (x right, y down, z forward) and that of glTF and USD (y up).

Half a turn about z takes one to the other and back: (x, y, z) becomes (-x, -y, z). It is a rotation, so nothing is
mirrored, and all of it is changes of sign: converting twice gives the very same numbers (and quaternions with the
other sign, which are the same rotations).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.artifacts.gaussian_splats import Gaussians

Floats = npt.NDArray[np.float32]
AXES = np.array([-1.0, -1.0, 1.0], np.float32)
HARMONICS = np.array([(-1.0) ** order for degree in range(4) for order in range(-degree, degree + 1)], np.float32)
"""(16,) a harmonic of order m turns by m times the angle: half a turn is the sign of its parity."""


def half_turn(gaussians: Gaussians) -> Gaussians:
    """The scene in the other world: centres, rotations and view-dependent colours."""
    return Gaussians(
        gaussians.means * AXES,
        gaussians.log_scales,
        half_turned_quaternions(gaussians.quats),
        gaussians.opacity_logits,
        gaussians.sh * HARMONICS[:, None],
    )


def half_turned_quaternions(quats: Floats) -> Floats:
    """The quaternion (0, 0, 0, 1) times wxyz (N, 4)."""
    return np.stack([-quats[:, 3], -quats[:, 2], quats[:, 1], quats[:, 0]], axis=1)
