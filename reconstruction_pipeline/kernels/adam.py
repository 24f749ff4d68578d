"""Adam (Kingma & Ba 2015) on planes, with a learning rate per row."""

# mypy: ignore-errors
from __future__ import annotations

import numba
import numpy as np
from numba import prange

from reconstruction_pipeline.kernels.jit import kernel
from reconstruction_pipeline.kernels.simd import fetch_and_add, get, load, maximum, minimum, store
from reconstruction_pipeline.kernels.simd_math import sqrt

_CHUNK = 16 * 256
GRADIENT_MAX = np.float32(1e18)


@kernel(parallel=True)
def _step(planes, grads, m, v, stride, count, rows, rate, beta1, beta2, correction, eps, counter, workers):
    counter[0] = 0
    chunks = (count + _CHUNK - 1) // _CHUNK
    for _ in prange(workers):
        item = fetch_and_add(counter, 0, 1)
        while item < rows * chunks:
            row, first = item // chunks, item % chunks * _CHUNK
            step = get(rate, row)
            for k in range(row * stride + first, row * stride + min(first + _CHUNK, count), 16):
                # Held where its square is still a number; `minimum` and `maximum` let NaN through, not to hide it.
                g = maximum(-GRADIENT_MAX, minimum(GRADIENT_MAX, load(grads, k)))
                mean = load(m, k) * beta1 + g * (np.float32(1.0) - beta1)
                square = load(v, k) * beta2 + g * g * (np.float32(1.0) - beta2)
                store(m, k, mean)
                store(v, k, square)
                store(planes, k, load(planes, k) - mean * step / (sqrt(square) * correction + eps))
            item = fetch_and_add(counter, 0, 1)


def adam_step(
    planes: np.ndarray,
    grads: np.ndarray,
    m: np.ndarray,
    v: np.ndarray,
    count: int,
    lr: np.ndarray,
    step: int,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-15,
) -> None:
    """One step in place on the first `count` columns of planes, m, v (59, capacity) float32.

    lr (59,) is the learning rate of each row; step counts from 1, for the bias correction.  The work is done in whole
    vectors of 16 columns, so up to 15 columns after `count` move too where their gradients or moments are not zero
    (the rasteriser gives them zero gradients).  Gradients beyond 1e18 count as 1e18, so that what is finite stays so.
    Uses the threads set by numba.set_num_threads.
    """
    for name, array in (("grads", grads), ("m", m), ("v", v)):
        if array.shape != planes.shape or array.dtype != np.float32 or not array.flags.c_contiguous:
            raise ValueError(f"{name} must be C-contiguous float32 of shape {planes.shape}, not {array.shape}.")
    if not planes.flags.c_contiguous or planes.dtype != np.float32 or step < 1:
        raise ValueError("planes must be C-contiguous float32, and step at least 1.")
    rate = np.asarray(lr, np.float32) / np.float32(1.0 - beta1**step)
    flat = [array.reshape(-1) for array in (planes, grads, m, v)]
    _step(
        *flat, planes.shape[1], count, planes.shape[0], rate, np.float32(beta1), np.float32(beta2),
        np.float32(1.0 / np.sqrt(1.0 - beta2**step)), np.float32(eps), np.zeros(1, np.int64),
        numba.get_num_threads(),
    )  # fmt: skip
