"""How sharp an image is, in two senses: by its detail alone, and as people see blur."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

# Grey levels; below it an image is a flat field and its "sharpness" would be that of the noise.
FLAT_STD = 2.0
# How much coarser the edges are that sharpness is measured against: more than the blur of a moving hand.
COARSE = 8
# Seconds to either side that a frame is compared with; within them texture hardly changes.
WINDOW_S = 1.5
# What the best frames of a window reach; the very best may be a fluke of the codec.
WINDOW_QUANTILE = 0.8
# A window that is blurred as a whole must not be its own yardstick: at least this part of the usual one.
LEAST_YARDSTICK = 0.75


def sharpness(gray: npt.NDArray[np.uint8]) -> float:
    """Strength of the edges between pixels over that of edges COARSE times coarser; the worse of the two image axes.

    `gray` (H, W). Natural images have about the same contrast at every scale (Field, "Relations between the
    statistics of natural images and the response properties of cortical cells", JOSA A 1987), so that the ratio
    depends on focus and motion far more than on texture, and not at all on exposure. Blur of up to COARSE pixels
    weakens the first and spares the second; motion shows on the axis it runs along. 0 for an image without contrast.
    """
    if float(cv2.meanStdDev(gray)[1][0, 0]) < FLAT_STD:
        return 0.0
    size = max(1, gray.shape[1] // COARSE), max(1, gray.shape[0] // COARSE)
    coarse = cv2.resize(gray, size, interpolation=cv2.INTER_AREA)
    axes = ((1, 0), (0, 1))
    return min(_edges(gray, dx, dy) / max(_edges(coarse, dx, dy), 1e-3) for dx, dy in axes)


def _edges(gray: npt.NDArray[Any], dx: int, dy: int) -> float:
    """Mean square of the differences between the pixels on both sides of each, along one axis."""
    return float(cv2.norm(cv2.Sobel(gray, cv2.CV_16S, dx, dy, ksize=1), cv2.NORM_L2SQR)) / gray.size


def relative_sharpness(times: Array, values: Array) -> Array:
    """`values` over what the sharp frames around each reach: 1 is as sharp as it gets there.

    `times` in seconds; both (N,). A stretch that is blurred from end to end is measured against the rest of the video
    instead.
    """
    if not len(times):
        return np.zeros(0)
    times = np.maximum.accumulate(times)  # phones write files whose first timestamps are out of order
    moments = np.arange(times[0], times[-1] + WINDOW_S / 4, WINDOW_S / 4)
    first = np.searchsorted(times, moments - WINDOW_S)
    last = np.maximum(np.searchsorted(times, moments + WINDOW_S, side="right"), first + 1)
    reached = np.array(
        [np.quantile(values[min(a, len(values) - 1) : b], WINDOW_QUANTILE) for a, b in zip(first, last, strict=True)]
    )
    yardstick = np.interp(times, moments, np.maximum(reached, LEAST_YARDSTICK * np.median(reached)))
    return values / np.maximum(yardstick, 1e-12)


def blur_extent(gray: npt.NDArray[np.uint8], window: int = 11) -> float:
    """Perceptual blur, 0 (sharp) to 1: how little of the neighbour differences a further blur removes.

    The worse of the two image axes, so that motion blur along either is seen.
    Crété et al., "The blur effect: perception and estimation with a new no-reference perceptual blur
    metric", SPIE 2007.
    """
    image = gray.astype(np.float32)
    worst = 0.0
    for axis, kernel in ((1, (window, 1)), (0, (1, window))):
        variation = np.abs(np.diff(image, axis=axis))
        blurred = np.abs(np.diff(cv2.blur(image, kernel), axis=axis))
        total = float(variation.sum())
        if total > 0:
            worst = max(worst, 1.0 - float(np.maximum(variation - blurred, 0).sum()) / total)
    return worst
