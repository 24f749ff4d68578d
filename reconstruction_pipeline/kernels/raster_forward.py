"""Alpha blending, front to back, of depth-ordered Gaussians into tiles of 16x16 pixels.

A tile is sixteen blocks of 4x4 pixels, a block is one vector.  For every group of 32 Gaussians, first each Gaussian is
tested against all sixteen blocks at once (lanes are blocks here), which gives one 32-bit word per block; then each
block walks the set bits of its word with its sixteen pixels' state in registers.  The words that the backward pass
reads keep only the (Gaussian, block) pairs that drew something, so it repeats no test and makes the same stops.
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
    LOG_OPACITY,
    MEAN_X,
    MEAN_Y,
    QUAD_XX,
    QUAD_XY,
    QUAD_YY,
    RECORD,
    RED,
    RIDGE_X,
    RIDGE_Y,
    TILE,
)
from reconstruction_pipeline.kernels.simd import (
    any_lane,
    column_lanes,
    fetch_and_add,
    full,
    full_ints,
    get,
    load,
    mask_of_bits,
    maximum,
    minimum,
    or_where,
    prefetch,
    put,
    row_lanes,
    select,
    store,
    store_ints,
    trailing_zeros,
)
from reconstruction_pipeline.kernels.simd_math import exp2_bounded, sum_lanes

ALPHA_MAX = np.float32(0.99)
TRACE = np.float32(1e-15)
STOP = np.float32(1e-4)  # a block whose pixels all let less light through is finished

# A tile's frame: planes of 256 floats, ordered by block, then by pixel in the block.
PLANE = 256
T_PLANE, R_PLANE, G_PLANE, B_PLANE, DEPTH_PLANE, MEDIAN_PLANE = (PLANE * k for k in range(6))
FRAME = 6 * PLANE


@inline
def block_hits(records, r, block_x, block_y):
    """Mask over the 16 blocks of a tile: can the Gaussian reach the alpha threshold in one of the block's pixels?

    Exact: the exponent is concave, so its maximum over the box of a block's pixel centres is at the mean if that is
    inside, else on the vertical or horizontal side nearest to the mean, at that side's ridge point.
    """
    x_low = block_x - get(records, r + MEAN_X)
    y_low = block_y - get(records, r + MEAN_Y)
    x_high, y_high = x_low + 3.0, y_low + 3.0
    near_x = minimum(maximum(full(0.0), x_low), x_high)
    near_y = minimum(maximum(full(0.0), y_low), y_high)
    ridge_x = minimum(maximum(near_y * get(records, r + RIDGE_X), x_low), x_high)
    ridge_y = minimum(maximum(near_x * get(records, r + RIDGE_Y), y_low), y_high)
    xx, xy, yy = get(records, r + QUAD_XX), get(records, r + QUAD_XY), get(records, r + QUAD_YY)
    on_vertical = near_x * (near_x * xx + ridge_y * xy) + ridge_y * ridge_y * yy
    on_horizontal = ridge_x * (ridge_x * xx + near_y * xy) + near_y * near_y * yy
    return maximum(on_vertical, on_horizontal) >= LOG_ALPHA_MIN - np.float32(1e-3) - get(records, r + LOG_OPACITY)


@inline
def exponent(records, r, dx, dy):
    """log2 of alpha at offset dx, dy from the mean of the record at `r`."""
    return dx * (dx * get(records, r + QUAD_XX) + dy * get(records, r + QUAD_XY)) + (
        dy * (dy * get(records, r + QUAD_YY)) + get(records, r + LOG_OPACITY)
    )


@inline
def without_traces(t):
    """Transmittance with what is too little to matter set to 0, before it becomes denormal, which is very slow."""
    return select(t > TRACE, t, 0.0)


@inline
def draw_block(word, first, ids, records, px, py, frame, at):
    """Blend the Gaussians whose bits are set in `word` into the block at `frame[at:]`; returns the bits that drew."""
    t = load(frame, at + T_PLANE)
    red, green, blue = load(frame, at + R_PLANE), load(frame, at + G_PLANE), load(frame, at + B_PLANE)
    drew = np.int64(0)
    while word != 0:
        j = trailing_zeros(word)
        word &= word - 1
        r = np.int64(get(ids, first + j)) * RECORD
        power = exponent(records, r, px - get(records, r + MEAN_X), py - get(records, r + MEAN_Y))
        passing = power >= LOG_ALPHA_MIN
        alpha = select(passing, minimum(exp2_bounded(power), ALPHA_MAX), 0.0)
        weight = alpha * t
        red += weight * get(records, r + RED)
        green += weight * get(records, r + GREEN)
        blue += weight * get(records, r + BLUE)
        t -= weight
        drew |= np.int64(any_lane(passing)) << j
    store(frame, at + T_PLANE, without_traces(t))
    store(frame, at + R_PLANE, red)
    store(frame, at + G_PLANE, green)
    store(frame, at + B_PLANE, blue)
    return drew


@inline
def measure_block(word, first, ids, records, px, py, frame, at, weights):
    """As `draw_block`, for what colours do not need: depths, and the weight of each list entry summed over pixels.

    Reads the transmittance before `draw_block` changes it, so it has to be called first.
    """
    t = load(frame, at + T_PLANE)
    depth, median = load(frame, at + DEPTH_PLANE), load(frame, at + MEDIAN_PLANE)
    while word != 0:
        j = trailing_zeros(word)
        word &= word - 1
        r = np.int64(get(ids, first + j)) * RECORD
        power = exponent(records, r, px - get(records, r + MEAN_X), py - get(records, r + MEAN_Y))
        weight = t * select(power >= LOG_ALPHA_MIN, minimum(exp2_bounded(power), ALPHA_MAX), 0.0)
        depth += weight * get(records, r + DEPTH)
        median = select((t > 0.5) & (t - weight <= 0.5), full(get(records, r + DEPTH)), median)
        t -= weight
        weights[first + j] += sum_lanes(weight)
    store(frame, at + DEPTH_PLANE, depth)
    store(frame, at + MEDIAN_PLANE, median)


@inline
def clear_frame(frame, at, x0, y0, width, height):
    """Start a tile: transmittance 1 inside the picture and 0 outside.  Returns the bits of blocks with pixels."""
    live = np.int64(0)
    for block in range(16):
        px = column_lanes() + (x0 + 4 * (block & 3))
        py = row_lanes() + (y0 + 4 * (block >> 2))
        inside = (px < width) & (py < height)
        store(frame, at + T_PLANE + 16 * block, select(inside, 1.0, 0.0))
        live |= np.int64(any_lane(inside)) << block
    for k in range(R_PLANE, FRAME, 16):
        store(frame, at + k, 0.0)
    return live


@device
def draw_tile(x0, y0, live, start, end, group, ids, records, words, frame, at, measure, weights):
    """Blend one tile's list; returns how many groups of the list were looked at before all pixels were opaque."""
    block_x = column_lanes() * 4.0 + (x0 + 0.5)
    block_y = row_lanes() * 4.0 + (y0 + 0.5)
    first = start
    while first < end and live != 0:
        alive = mask_of_bits(live)
        hits = full_ints(0)
        for j in range(min(GROUP, end - first)):
            r = np.int64(get(ids, first + j)) * RECORD
            if first + GROUP + j < end:  # records lie far apart: fetch the next group's while working on this one
                prefetch(records, np.int64(get(ids, first + GROUP + j)) * RECORD)
            hits = or_where(block_hits(records, r, block_x, block_y) & alive, hits, np.int64(1) << j)
        store_ints(words, group * 16, hits)
        for block in range(16):
            word = np.int64(get(words, group * 16 + block))
            if word != 0:
                px = column_lanes() + (x0 + 4 * (block & 3) + 0.5)
                py = row_lanes() + (y0 + 4 * (block >> 2) + 0.5)
                if measure:
                    measure_block(word, first, ids, records, px, py, frame, at + 16 * block, weights)
                words[group * 16 + block] = draw_block(word, first, ids, records, px, py, frame, at + 16 * block)
                if not any_lane(load(frame, at + T_PLANE + 16 * block) >= STOP):
                    live &= ~(np.int64(1) << block)
        first += GROUP
        group += 1
    return group


@inline
def frame_index(x, y):
    """Where the pixel (x, y) of a tile lies in a plane of its frame."""
    return (y >> 2) * 64 + (x >> 2) * 16 + (y & 3) * 4 + (x & 3)


@device
def write_tile(frame, at, x0, y0, width, height, background, image, alpha):
    """Copy a tile's frame into the picture (flat H W 3) and its alpha (flat H W)."""
    back_r, back_g, back_b = get(background, 0), get(background, 1), get(background, 2)
    for y in range(min(TILE, height - y0)):
        for x in range(min(TILE, width - x0)):
            k, pixel = at + frame_index(x, y), (y0 + y) * width + x0 + x
            t = get(frame, k)
            put(image, 3 * pixel, get(frame, k + R_PLANE) + t * back_r)
            put(image, 3 * pixel + 1, get(frame, k + G_PLANE) + t * back_g)
            put(image, 3 * pixel + 2, get(frame, k + B_PLANE) + t * back_b)
            put(alpha, pixel, np.float32(1.0) - t)


@device
def write_depth(frame, at, x0, y0, width, height, expected, median):
    """Copy a tile's depths into flat pictures: the mean over what is seen (0 where nothing is), and the median."""
    for y in range(min(TILE, height - y0)):
        for x in range(min(TILE, width - x0)):
            k, pixel = at + frame_index(x, y), (y0 + y) * width + x0 + x
            seen = np.float32(1.0) - get(frame, k)
            expected[pixel] = get(frame, k + DEPTH_PLANE) / seen if seen >= 1e-6 else np.float32(0.0)
            median[pixel] = get(frame, k + MEDIAN_PLANE)


@kernel(parallel=True)
def rasterize(
    width, height, tiles_x, tiles, background, starts, groups, done, ids, records, words, frame,
    image, alpha, measure, expected, median, weights, counter, workers,
):  # fmt: skip
    """Render every tile.  `done[t]` is the end of the groups drawn; with `measure`, depths and weights are filled."""
    counter[0] = 0
    for _ in prange(workers):
        tile = fetch_and_add(counter, 0, 1)
        while tile < tiles:
            x0, y0, at = tile % tiles_x * TILE, tile // tiles_x * TILE, tile * FRAME
            live = clear_frame(frame, at, x0, y0, width, height)
            done[tile] = draw_tile(
                x0, y0, live, starts[tile], starts[tile + 1], groups[tile], ids, records, words, frame, at,
                measure, weights,
            )  # fmt: skip
            write_tile(frame, at, x0, y0, width, height, background, image, alpha)
            if measure:
                write_depth(frame, at, x0, y0, width, height, expected, median)
            tile = fetch_and_add(counter, 0, 1)
