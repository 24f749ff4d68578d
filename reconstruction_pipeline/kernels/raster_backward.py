"""Gradient of the blending with respect to each Gaussian's record, front to back, in one pass.

With v_i the derivative of the loss by the blending weight of Gaussian i in a pixel, the derivative by its alpha is
`T_i v_i - (sum over later j of w_j v_j + T_end v_end) / (1 - alpha_i)`.  The sum is the total minus what has been
passed already, and the total is known from the forward picture, so the order, the transmittance and the stops are
those of the forward pass and nothing has to be undone.

Per (Gaussian, tile) pair, ten sums over pixels are written to the pair's own slot: of dL/d(ln alpha) times 1, dx, dy,
dx^2, dx dy, dy^2; of the colour gradients; of the depth gradient.  Slots make the result independent of threads.
"""

# mypy: ignore-errors
from __future__ import annotations

import numpy as np
from numba import prange

from reconstruction_pipeline.kernels.binning import GROUP
from reconstruction_pipeline.kernels.jit import device, inline, kernel
from reconstruction_pipeline.kernels.projection import (
    BLUE,
    DEPTH,
    GREEN,
    LOG_ALPHA_MIN,
    MEAN_X,
    MEAN_Y,
    RECORD,
    RED,
    SLOT,
    TILE,
    TILE_X,
    TILE_Y,
    TILES_WIDE,
)
from reconstruction_pipeline.kernels.raster_forward import (
    ALPHA_MAX,
    B_PLANE,
    DEPTH_PLANE,
    FRAME,
    G_PLANE,
    PLANE,
    R_PLANE,
    exponent,
    frame_index,
    without_traces,
)
from reconstruction_pipeline.kernels.simd import (
    column_lanes,
    fetch_and_add,
    get,
    load,
    minimum,
    prefetch_for_write,
    put,
    row_lanes,
    select,
    store,
    trailing_zeros,
)
from reconstruction_pipeline.kernels.simd_math import exp2_bounded, reciprocal, sums

SUMS = 10
SLOT_SIZE = 16
# A worker's scratch: the vectors being summed for each of 32 Gaussians, then planes of the tile's pixels.
_VECTORS = SUMS * 16
PIXELS = GROUP * _VECTORS
LIGHT, REMAINDER, GRAD_R, GRAD_G, GRAD_B, GRAD_DEPTH = (PIXELS + PLANE * k for k in range(6))
SCRATCH = PIXELS + 6 * PLANE


@inline
def _accumulate(scratch, at, value):
    store(scratch, at, load(scratch, at) + value)


@inline
def _block(word, first, ids, records, px, py, scratch, at, depth):
    """Add one block's share to the vectors of the Gaussians whose bits are set in `word`."""
    t, remainder = load(scratch, LIGHT + at), load(scratch, REMAINDER + at)
    grad_r, grad_g, grad_b = load(scratch, GRAD_R + at), load(scratch, GRAD_G + at), load(scratch, GRAD_B + at)
    while word != 0:
        j = trailing_zeros(word)
        word &= word - 1
        r = np.int64(get(ids, first + j)) * RECORD
        dx = px - get(records, r + MEAN_X)
        dy = py - get(records, r + MEAN_Y)
        power = exponent(records, r, dx, dy)
        raw = exp2_bounded(power)
        passing = power >= LOG_ALPHA_MIN
        alpha = select(passing, minimum(raw, ALPHA_MAX), 0.0)
        weight = alpha * t
        value = grad_r * get(records, r + RED) + grad_g * get(records, r + GREEN) + grad_b * get(records, r + BLUE)
        k = j * _VECTORS
        if depth:
            grad_z = load(scratch, GRAD_DEPTH + at)
            value += grad_z * get(records, r + DEPTH)
            _accumulate(scratch, k + 144, weight * grad_z)
        remainder -= weight * value
        # weight v - alpha (remainder after i) / (1 - alpha); a clamped alpha does not move.
        slope = select(raw < ALPHA_MAX, weight * value - alpha * remainder * reciprocal(1.0 - alpha), 0.0)
        t -= weight
        slope_x, slope_y = slope * dx, slope * dy
        _accumulate(scratch, k, slope)
        _accumulate(scratch, k + 16, slope_x)
        _accumulate(scratch, k + 32, slope_y)
        _accumulate(scratch, k + 48, slope_x * dx)
        _accumulate(scratch, k + 64, slope_x * dy)
        _accumulate(scratch, k + 80, slope_y * dy)
        _accumulate(scratch, k + 96, weight * grad_r)
        _accumulate(scratch, k + 112, weight * grad_g)
        _accumulate(scratch, k + 128, weight * grad_b)
    store(scratch, LIGHT + at, without_traces(t))
    store(scratch, REMAINDER + at, remainder)


@inline
def _slot(records, records_int, r, tile_x, tile_y):
    """Where the sums of a record's share of this tile go."""
    row = tile_y - np.int64(get(records, r + TILE_Y))
    column = tile_x - np.int64(get(records, r + TILE_X))
    return np.int64(get(records_int, r + SLOT)) + row * np.int64(get(records, r + TILES_WIDE)) + column


@inline
def _reduce(scratch, k):
    """Lane m of the result is the sum over pixels of the m-th vector of one Gaussian."""
    return sums(
        (
            load(scratch, k),
            load(scratch, k + 16),
            load(scratch, k + 32),
            load(scratch, k + 48),
            load(scratch, k + 64),
            load(scratch, k + 80),
            load(scratch, k + 96),
            load(scratch, k + 112),
            load(scratch, k + 128),
            load(scratch, k + 144),
        )
    )


@device
def _load_gradients(
    frame, at, x0, y0, width, height, background, grad_image, grad_alpha, grad_depth, scratch, depth
):  # fmt: skip
    """Gather the tile's incoming gradients into scratch; pixels outside the picture get zeros.

    The remainder starts as the total: gradient . picture, which contains the background's share of the light left.
    """
    for k in range(LIGHT, SCRATCH, 16):
        store(scratch, k, 0.0)
    back_r, back_g, back_b = get(background, 0), get(background, 1), get(background, 2)
    for y in range(min(TILE, height - y0)):
        for x in range(min(TILE, width - x0)):
            k, pixel = frame_index(x, y), (y0 + y) * width + x0 + x
            t = get(frame, at + k)
            red, green, blue = (
                get(grad_image, 3 * pixel),
                get(grad_image, 3 * pixel + 1),
                get(grad_image, 3 * pixel + 2),
            )
            total = red * (get(frame, at + R_PLANE + k) + t * back_r)
            total += green * (get(frame, at + G_PLANE + k) + t * back_g)
            total += blue * (get(frame, at + B_PLANE + k) + t * back_b)
            if depth:
                # The mean depth is (sum w z) / (1 - t): its gradient splits into one by the sum and one by alpha.
                seen = np.float32(1.0) - t
                far = get(frame, at + DEPTH_PLANE + k)
                by_sum = get(grad_depth, pixel) / seen if seen >= 1e-6 else np.float32(0.0)
                by_alpha = get(grad_alpha, pixel) - (by_sum * far / seen if seen >= 1e-6 else np.float32(0.0))
                put(scratch, GRAD_DEPTH + k, by_sum)
                total += by_sum * far - by_alpha * t
            put(scratch, LIGHT + k, 1.0)
            put(scratch, GRAD_R + k, red)
            put(scratch, GRAD_G + k, green)
            put(scratch, GRAD_B + k, blue)
            put(scratch, REMAINDER + k, total)


@device
def _tile(tile_x, tile_y, start, end, group, done, ids, records, records_int, words, scratch, slots, depth):
    first = start
    while group < done:
        count = min(GROUP, end - first)
        for k in range(0, count * _VECTORS, 16):
            store(scratch, k, 0.0)
        # Slots are far apart; without asking early, each write would wait for memory and hold up all later ones.
        for j in range(count):
            at = _slot(records, records_int, np.int64(get(ids, first + j)) * RECORD, tile_x, tile_y) * SLOT_SIZE
            prefetch_for_write(slots, at)
        for block in range(16):
            word = np.int64(get(words, group * 16 + block))
            if word != 0:
                px = column_lanes() + (tile_x * TILE + 4 * (block & 3) + 0.5)
                py = row_lanes() + (tile_y * TILE + 4 * (block >> 2) + 0.5)
                _block(word, first, ids, records, px, py, scratch, 16 * block, depth)
        for j in range(count):
            at = _slot(records, records_int, np.int64(get(ids, first + j)) * RECORD, tile_x, tile_y) * SLOT_SIZE
            store(slots, at, _reduce(scratch, j * _VECTORS))
        first += GROUP
        group += 1
    for k in range(first, end):
        at = _slot(records, records_int, np.int64(get(ids, k)) * RECORD, tile_x, tile_y) * SLOT_SIZE
        store(slots, at, 0.0)


@kernel(parallel=True)
def rasterize_backward(
    width, height, tiles_x, first, tiles, background, starts, groups, done, ids, records, records_int, words, frame,
    grad_image, grad_alpha, grad_depth, depth, scratch, slots, counter, workers,
):  # fmt: skip
    """Fill the slots of tiles `first` … `tiles` - 1 with the docstring's sums.  `scratch` is (workers, SCRATCH)."""
    counter[0] = first
    for w in prange(workers):
        own = scratch[w]
        own[:] = np.float32(0.0)
        tile = fetch_and_add(counter, 0, 1)
        while tile < tiles:
            tile_x, tile_y = tile % tiles_x, tile // tiles_x
            _load_gradients(
                frame, tile * FRAME, tile_x * TILE, tile_y * TILE, width, height, background,
                grad_image, grad_alpha, grad_depth, own, depth,
            )  # fmt: skip
            _tile(
                tile_x, tile_y, starts[tile], starts[tile + 1], groups[tile], done[tile], ids, records,
                records_int, words, own, slots, depth,
            )  # fmt: skip
            tile = fetch_and_add(counter, 0, 1)
