"""From visible Gaussians to depth-ordered lists per tile of 16x16 pixels.

The visible Gaussians are sorted once by depth; scattering them in that order into the tiles leaves every tile's list
sorted.  The result does not depend on the number of workers: each takes a contiguous range of the order, counts
first, and writes after a scan over (tile, worker).
"""

# mypy: ignore-errors
from __future__ import annotations

import numpy as np
from numba import prange

from reconstruction_pipeline.kernels.jit import device, inline, kernel
from reconstruction_pipeline.kernels.projection import RECORD, RECT_BITS, SLOT
from reconstruction_pipeline.kernels.simd import get

GROUP = 32  # Gaussians of a tile whose block hits share one 32-bit word per block
_DIGIT = 11
_BUCKETS = 1 << _DIGIT


@kernel()
def sort_by_depth(count, touched, keys, records_int, order, spare, spare_keys):
    """Order of the visible Gaussians from near to far, ties by index.

    Also gives each visible Gaussian its first slot: `records_int[i, SLOT]`, counted over (Gaussian, tile) pairs in
    index order.  Returns (number visible, number of pairs).

    Depths are positive floats, whose bit patterns sort as integers; two passes of 11 bits resolve
    the visible range to better than 1e-5 of the depth.
    """
    visible = 0
    pairs = 0
    low, high = np.int64(0x7FFFFFFF), np.int64(0)
    for i in range(count):
        if touched[i] > 0:
            spare[visible] = i
            visible += 1
            records_int[i * RECORD + SLOT] = pairs
            pairs += touched[i]
            key = np.int64(keys[i])
            low, high = min(low, key), max(high, key)
    for i in range(count, (count + 15) // 16 * 16):
        touched[i] = 0
    shift = 0
    while (high - low) >> shift >= 1 << (2 * _DIGIT):
        shift += 1
    counts = np.zeros((2, _BUCKETS), np.int64)
    for k in range(visible):
        key = (np.int64(keys[spare[k]]) - low) >> shift
        spare_keys[k] = key
        counts[0, key & (_BUCKETS - 1)] += 1
        counts[1, key >> _DIGIT] += 1
    for digit in range(2):
        total = 0
        for bucket in range(_BUCKETS):
            total, counts[digit, bucket] = total + counts[digit, bucket], total
    for k in range(visible):
        bucket = spare_keys[k] & (_BUCKETS - 1)
        at = counts[0, bucket]
        counts[0, bucket] = at + 1
        order[at] = k
    for k in range(visible):
        source = order[k]
        bucket = spare_keys[source] >> _DIGIT
        at = counts[1, bucket]
        counts[1, bucket] = at + 1
        keys[at] = spare[source]
    for k in range(visible):
        order[k] = keys[k]
    return visible, pairs


@inline
def _range(packed):
    """First and last tile of a packed side of a rectangle."""
    return np.int64(packed) >> RECT_BITS, np.int64(packed) & ((1 << RECT_BITS) - 1)


@device
def _count(begin, end, order, rect_x, rect_y, tiles_x, counts):
    counts[:] = 0
    for k in range(begin, end):
        i = get(order, k)
        left, right = _range(get(rect_x, i))
        top, bottom = _range(get(rect_y, i))
        for row in range(top, bottom + 1):
            for tile in range(row * tiles_x + left, row * tiles_x + right + 1):
                counts[np.uint64(tile)] += 1


@device
def _scatter(begin, end, order, rect_x, rect_y, tiles_x, cursors, ids):
    for k in range(begin, end):
        i = get(order, k)
        left, right = _range(get(rect_x, i))
        top, bottom = _range(get(rect_y, i))
        for row in range(top, bottom + 1):
            for tile in range(row * tiles_x + left, row * tiles_x + right + 1):
                at = get(cursors, tile)
                cursors[np.uint64(tile)] = at + 1
                ids[np.uint64(at)] = i


@kernel(parallel=True)
def bin_into_tiles(visible, order, rect_x, rect_y, tiles_x, tiles, cursors, starts, groups, ids, workers):
    """Tile lists: `ids[starts[t]:starts[t+1]]` are the Gaussians of tile t from near to far.

    `groups[t]` is the index of the tile's first group of `GROUP` list entries.  `cursors` is scratch (workers, tiles).
    """
    for w in prange(workers):
        _count(visible * w // workers, visible * (w + 1) // workers, order, rect_x, rect_y, tiles_x, cursors[w])
    total = 0
    group = 0
    for tile in range(tiles):
        starts[tile] = total
        groups[tile] = group
        for w in range(workers):
            total, cursors[w, tile] = total + cursors[w, tile], total
        group += (total - starts[tile] + GROUP - 1) // GROUP
    starts[tiles] = total
    groups[tiles] = group
    for w in prange(workers):
        _scatter(visible * w // workers, visible * (w + 1) // workers, order, rect_x, rect_y, tiles_x, cursors[w], ids)
