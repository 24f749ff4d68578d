"""How much memory the CPU rasteriser takes, known before a run starts."""

from __future__ import annotations

from reconstruction_pipeline.kernels.slots import PAIRS_AT_ONCE

PER_GAUSSIAN = 64 + 64 + 7 * 4  # record, gathered sums, and the integers of sorting and binning
PER_PAIR = 4 + 4 + 2  # list entry, weight, block hits
PER_SLOT = 64
PER_PIXEL = 24 + 1 + 4 * (3 + 1 + 2)  # frame, block hits of unfilled groups; image, alpha and two depths
FIXED = 1 << 20


def expected_pairs(count: int, pixels: int) -> float:
    """(Gaussian, tile) pairs to expect per Gaussian: 1 + 2.5 (pixels / count)^0.8.

    A cautious fit to trained scenes (two captures of objects need 0.9, a desk seen from near 2.5; 30k to 60k
    Gaussians at 240 to 960 pixels).  It is for splats about as large as training makes them.
    """
    return 1.0 + 2.5 * (pixels / max(count, 1)) ** 0.8


def memory_estimate(
    count: int, pixels: int, *, pairs_per_gaussian: float | None = None, pairs_at_once: int = PAIRS_AT_ONCE
) -> int:
    """Bytes that one `Rasterizer` holds after forward and backward of `count` Gaussians on `pixels` pixels.

    It counts the rasteriser's buffers and the pictures it returns, not what the caller holds: planes, gradients and
    two moments (59 float32 each for every Gaussian of capacity), training images, the loss's gradient (12 bytes a
    pixel), and the process itself (some 250 MB with numba and the compiled kernels).
    pairs_per_gaussian: tiles of 16x16 pixels that a Gaussian touches on average, the invisible counted as 0;
    `expected_pairs` if None.
    """
    pairs = count * (expected_pairs(count, pixels) if pairs_per_gaussian is None else pairs_per_gaussian)
    return int(
        FIXED
        + count * PER_GAUSSIAN
        + pairs * PER_PAIR
        + min(pairs, float(pairs_at_once)) * PER_SLOT
        + pixels * PER_PIXEL
    )
