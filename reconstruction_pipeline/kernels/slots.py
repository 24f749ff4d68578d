"""Sums over the (Gaussian, tile) pairs of a picture, and a bound on the memory that the backward pass needs for them.

Each pair has a slot of 64 bytes, a Gaussian's slots are neighbours, in order of rows of tiles.  Where a picture has
more pairs than may be kept at once, the backward pass goes over it in bands of rows of tiles, with slots for one band
at a time.  A Gaussian's slots are added in the same order either way, so that the result is the same to the last bit.
"""

# mypy: ignore-errors
from __future__ import annotations

import numpy as np
from numba import prange

from reconstruction_pipeline.kernels.jit import kernel
from reconstruction_pipeline.kernels.projection import CHUNK, RECORD, RECT_BITS, SLOT
from reconstruction_pipeline.kernels.raster_backward import SLOT_SIZE
from reconstruction_pipeline.kernels.simd import fetch_and_add, get, load, store

PAIRS_AT_ONCE = 1 << 22  # 256 MiB of slots


def bands(starts: np.ndarray, tiles_x: int, tiles_y: int, at_once: int) -> list[tuple[int, int, int]]:
    """Rows of tiles (first, end) and number of pairs of bands of at most `at_once` pairs, or of one row with more.

    starts (tiles + 1,) is where each tile's list begins.
    """
    edges = starts[: tiles_x * tiles_y + 1 : tiles_x].astype(np.int64)
    found, first = [], 0
    while first < tiles_y:
        end = max(first + 1, int(np.searchsorted(edges, edges[first] + at_once, "right")) - 1)
        found.append((first, end, int(edges[end] - edges[first])))
        first = end
    return found


@kernel()
def assign_slots(count, touched, rect_x, rect_y, first_row, end_row, records_int):
    """Number the slots of a band; `records_int[i, SLOT]` becomes the place of tile row 0 of i's rectangle.

    That is before the band's first slot for a Gaussian that begins above the band, and may be negative.
    """
    place = 0
    for i in range(count):
        if touched[i] > 0:
            wide = (rect_x[i] & ((1 << RECT_BITS) - 1)) - (rect_x[i] >> RECT_BITS) + 1
            top, bottom = rect_y[i] >> RECT_BITS, rect_y[i] & ((1 << RECT_BITS) - 1)
            above = max(first_row - top, 0)
            rows = max(min(bottom + 1, end_row) - top, 0) - above
            records_int[i * RECORD + SLOT] = place - above * wide
            if rows > 0:
                place += rows * wide


@kernel(parallel=True)
def add_slots(
    count, touched, rect_x, rect_y, first_row, end_row, records_int, slots, gathered, counter, workers
):  # fmt: skip
    """Add the slots of a band to `gathered[16 i:]`."""
    counter[0] = 0
    for _ in prange(workers):
        first = fetch_and_add(counter, 0, CHUNK)
        while first < count:
            for i in range(first, min(first + CHUNK, count)):
                if touched[i] > 0:
                    wide = (rect_x[i] & ((1 << RECT_BITS) - 1)) - (rect_x[i] >> RECT_BITS) + 1
                    top, bottom = rect_y[i] >> RECT_BITS, rect_y[i] & ((1 << RECT_BITS) - 1)
                    place = np.int64(get(records_int, i * RECORD + SLOT))
                    total = load(gathered, i * SLOT_SIZE)
                    begin, end = max(first_row - top, 0) * wide, (min(bottom + 1, end_row) - top) * wide
                    for slot in range(place + begin, place + end):
                        total += load(slots, slot * SLOT_SIZE)
                    store(gathered, i * SLOT_SIZE, total)
            first = fetch_and_add(counter, 0, CHUNK)


@kernel()
def sum_per_gaussian(pairs, ids, weights, total):
    """Add the weight of each list entry to that of its Gaussian."""
    for k in range(pairs):
        total[np.uint64(get(ids, k))] += get(weights, k)
