"""The stochastic parts of 3DGS-MCMC: noise on the means of faint Gaussians, and the two regularisers.

Random numbers come from a counter (seed, step, index) through a hash, so a run is the same for any
number of threads and can be resumed at any step.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numba import prange

from reconstruction_pipeline.kernels import layout
from reconstruction_pipeline.kernels.jit import kernel, row_sum

GATE_STEEPNESS = np.float32(100.0)
GATE_OPACITY = np.float32(0.005)
NEGLIGIBLE_LOGIT = np.float32(-1.75)
"""Above this opacity (0.148) the gate is below 1e-6: no noise worth drawing."""

_MEAN, _SCALE, _QUAT = layout.MEAN, layout.LOG_SCALE, layout.QUAT
_OPACITY, _SH = layout.OPACITY, layout.SH


@row_sum
def _hash(x):  # type: ignore[no-untyped-def]
    """splitmix64's finaliser (Steele et al. 2014)."""
    x = np.uint64(x) + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@row_sum
def _normal_pair(key):  # type: ignore[no-untyped-def]
    """Two independent standard normals (Box and Muller) from one 64-bit key."""
    bits = _hash(key)
    u = (np.float32(bits >> np.uint64(40)) + np.float32(1.0)) * np.float32(1.0 / 16777217.0)
    v = np.float32(bits & np.uint64(0xFFFFFF)) * np.float32(2.0 * math.pi / 16777216.0)
    radius = math.sqrt(np.float32(-2.0) * math.log(u))
    return radius * math.cos(v), radius * math.sin(v)


@kernel(parallel=True, reassociate=True)
def _add_noise(planes, count, amount, key):  # type: ignore[no-untyped-def]
    for i in prange(count):
        logit = planes[_OPACITY, i]
        if logit > NEGLIGIBLE_LOGIT:
            continue
        opacity = np.float32(1.0) / (np.float32(1.0) + math.exp(-logit))
        gate = amount / (np.float32(1.0) + math.exp(GATE_STEEPNESS * (opacity - GATE_OPACITY)))
        w, x, y, z = planes[_QUAT, i], planes[_QUAT + 1, i], planes[_QUAT + 2, i], planes[_QUAT + 3, i]
        inverse = np.float32(1.0) / math.sqrt(w * w + x * x + y * y + z * z + np.float32(1e-20))
        w, x, y, z = w * inverse, x * inverse, y * inverse, z * inverse
        one, two = np.float32(1.0), np.float32(2.0)
        r00, r01, r02 = one - two * (y * y + z * z), two * (x * y - w * z), two * (x * z + w * y)
        r10, r11, r12 = two * (x * y + w * z), one - two * (x * x + z * z), two * (y * z - w * x)
        r20, r21, r22 = two * (x * z - w * y), two * (y * z + w * x), one - two * (x * x + y * y)
        n0, n1 = _normal_pair(key + np.uint64(2 * i))
        n2, _ = _normal_pair(key + np.uint64(2 * i + 1))
        s0 = math.exp(two * planes[_SCALE, i]) * (r00 * n0 + r10 * n1 + r20 * n2)
        s1 = math.exp(two * planes[_SCALE + 1, i]) * (r01 * n0 + r11 * n1 + r21 * n2)
        s2 = math.exp(two * planes[_SCALE + 2, i]) * (r02 * n0 + r12 * n1 + r22 * n2)
        planes[_MEAN, i] += gate * (r00 * s0 + r01 * s1 + r02 * s2)
        planes[_MEAN + 1, i] += gate * (r10 * s0 + r11 * s1 + r12 * s2)
        planes[_MEAN + 2, i] += gate * (r20 * s0 + r21 * s1 + r22 * s2)


def add_noise(planes: npt.NDArray[np.float32], count: int, amount: float, seed: int, step: int) -> None:
    """Add to each mean amount * sigmoid(-100 (opacity - 0.005)) * Sigma @ n, n standard normal; in place.

    `amount` is noise_lr times the learning rate of the means, in a frame normalised to unit depth:
    the displacement grows with the square of the frame's unit (Kheradmand et al. 2024, section 3.2).
    """
    key = (seed * 0x9E3779B97F4A7C15 + step * 0xD1B54A32D192ED03) % 2**64
    _add_noise(planes, count, np.float32(amount), np.uint64(key))


@kernel(parallel=True, reassociate=True)
def _add_colour_gradient(grads, count, score):  # type: ignore[no-untyped-def]
    for chunk in prange((count + 4095) // 4096):
        for i in range(chunk * 4096, min(count, (chunk + 1) * 4096)):
            score[i] += abs(grads[_SH, i]) + abs(grads[_SH + 1, i]) + abs(grads[_SH + 2, i])


def add_colour_gradient(grads: npt.NDArray[np.float32], count: int, score: npt.NDArray[np.float32]) -> None:
    """Add to `score` (capacity,) the size of each Gaussian's gradient by its base colour.

    That gradient is the sum over pixels of blend weight times the error's derivative: nothing for
    what no pixel sees, large for what covers much that is still wrong.
    """
    _add_colour_gradient(grads, count, score)


@kernel(parallel=True, reassociate=True)
def _regularise(planes, grads, count, by_opacity, by_scale):  # type: ignore[no-untyped-def]
    for i in prange(count):
        o = np.float32(1.0) / (np.float32(1.0) + math.exp(-planes[_OPACITY, i]))
        grads[_OPACITY, i] += by_opacity * o * (np.float32(1.0) - o)
        for k in range(3):
            grads[_SCALE + k, i] += by_scale * math.exp(min(planes[_SCALE + k, i], np.float32(20.0)))


def regularise(
    planes: npt.NDArray[np.float32],
    grads: npt.NDArray[np.float32],
    count: int,
    opacity_reg: float,
    scale_reg: float,
) -> None:
    """Add the gradients of opacity_reg * mean(opacity) + scale_reg * mean(sigma); in place on `grads`."""
    n = max(count, 1)
    _regularise(planes, grads, count, np.float32(opacity_reg / n), np.float32(scale_reg / (3 * n)))
