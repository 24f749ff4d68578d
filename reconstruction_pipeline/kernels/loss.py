"""The training loss of 3D Gaussian splatting, (1 - lambda) L1 + lambda (1 - SSIM), with its gradient.

SSIM (Wang et al. 2004) with an 11x11 Gaussian window of sigma 1.5 and zero padding, as a
convolution with padding 5 would give, averaged over all pixels and channels. Value and gradient
are made in one sweep down the image: each band of rows keeps the last eleven blurred rows of the
four statistics and of the three derivatives in two small rings that stay in the cache.

Images are interleaved (H, W, 3), so a row is one contiguous run of 3 W values and a horizontal
tap is an offset of three.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import get_num_threads, prange

from reconstruction_pipeline.kernels.jit import kernel, row_sum

WINDOW = 11
HALF = WINDOW // 2
SIGMA = 1.5
C1 = np.float32(0.01**2)
C2 = np.float32(0.03**2)
MIN_BAND_ROWS = 32
"""Bands shorter than this would spend more on their halo of ten rows above and below than on themselves."""

_PAD = 3 * HALF


class LossValue(NamedTuple):
    """Parts of the loss: `total` is what the gradient belongs to; `l1` and `ssim` are means (weighted if asked)."""

    total: float
    l1: float
    ssim: float


def gaussian_taps() -> npt.NDArray[np.float32]:
    """The normalised 11 taps of the SSIM window (float32)."""
    offsets = np.arange(WINDOW) - HALF
    taps = np.exp(-(offsets**2) / (2.0 * SIGMA**2))
    return (taps / taps.sum()).astype(np.float32)


_TAPS = gaussian_taps()


@row_sum
def _blur_row(source, taps, out):  # type: ignore[no-untyped-def]
    """Horizontal blur of one row; `source` has `_PAD` zeros on both sides of the row."""
    w0, w1, w2, w3, w4, w5 = taps[0], taps[1], taps[2], taps[3], taps[4], taps[5]
    for i in range(source.size - 2 * _PAD):
        out[i] = (
            w0 * (source[i] + source[i + 30])
            + w1 * (source[i + 3] + source[i + 27])
            + w2 * (source[i + 6] + source[i + 24])
            + w3 * (source[i + 9] + source[i + 21])
            + w4 * (source[i + 12] + source[i + 18])
            + w5 * source[i + 15]
        )


@row_sum
def _blur_column(ring, first, taps, out):  # type: ignore[no-untyped-def]
    """Vertical blur over the eleven rows of a ring, of which slot `first` is the topmost.

    The taps are rotated instead of the rows: the compiler vectorises a sum over fixed rows of one
    array in a single pass, and not one over rows found at run time.
    """
    w = np.empty(WINDOW, np.float32)
    for k in range(WINDOW):
        w[(first + k) % WINDOW] = taps[k]
    w0, w1, w2, w3, w4, w5 = w[0], w[1], w[2], w[3], w[4], w[5]
    w6, w7, w8, w9, w10 = w[6], w[7], w[8], w[9], w[10]
    for i in range(out.size):
        out[i] = (
            w0 * ring[0, i] + w1 * ring[1, i] + w2 * ring[2, i] + w3 * ring[3, i] + w4 * ring[4, i]
            + w5 * ring[5, i] + w6 * ring[6, i] + w7 * ring[7, i] + w8 * ring[8, i] + w9 * ring[9, i]
            + w10 * ring[10, i]
        )  # fmt: skip


@row_sum
def _statistics_row(x, y, scale, padded):  # type: ignore[no-untyped-def]
    """Padded rows of x, y, x^2 + y^2 and x y."""
    for i in range(x.size):
        a = x[i]
        b = np.float32(y[i]) * scale
        padded[0, _PAD + i] = a
        padded[1, _PAD + i] = b
        padded[2, _PAD + i] = a * a + b * b
        padded[3, _PAD + i] = a * b


@row_sum
def _derivative_row(blurred, weight, padded):  # type: ignore[no-untyped-def]
    """Weighted SSIM of a row, summed; its derivatives by mean, mean square and mean product (padded rows)."""
    n = weight.size
    two = np.float32(2.0)
    total = np.float32(0.0)
    for i in range(n):
        a, b, e, q = blurred[i], blurred[n + i], blurred[2 * n + i], blurred[3 * n + i]
        ab = a * b
        squares = a * a + b * b
        n1 = two * ab + C1
        n2 = two * (q - ab) + C2
        d1 = squares + C1
        d2 = e - squares + C2
        inverse = np.float32(1.0) / (d1 * d2)
        weighted = weight[i] * inverse
        s = n1 * n2 * weighted
        total += s
        by_q = two * n1 * weighted
        by_e = -s * d1 * inverse
        padded[0, _PAD + i] = two * b * n2 * weighted - b * by_q - two * a * (s * d2 * inverse + by_e)
        padded[1, _PAD + i] = by_e
        padded[2, _PAD + i] = by_q
    return total


@row_sum
def _gradient_row(x, y, scale, derivatives, weight, by_l1, by_ssim, out):  # type: ignore[no-untyped-def]
    """Gradient of the whole loss for one row; returns the row's weighted sum of |x - y|."""
    n = x.size
    zero, one, two = np.float32(0.0), np.float32(1.0), np.float32(2.0)
    total = zero
    for i in range(n):
        a = x[i]
        b = np.float32(y[i]) * scale
        difference = a - b
        total += weight[i] * abs(difference)
        sign = (one if difference > zero else zero) - (one if difference < zero else zero)
        by_statistics = derivatives[i] + two * a * derivatives[n + i] + b * derivatives[2 * n + i]
        out[i] = weight[i] * by_l1 * sign - by_ssim * by_statistics
    return total


@kernel(parallel=True, reassociate=True)
def _sweep(image, target, scale, weight, taps, by_l1, by_ssim, bands, gradient, sums):  # type: ignore[no-untyped-def]
    """Every band of rows on its own: `sums[band]` gets the sums of weighted SSIM and of weighted |x - y|."""
    height, n = image.shape
    weight_rows = weight.shape[0]
    for band in prange(bands):
        top = height * band // bands
        end = height * (band + 1) // bands
        statistics = np.zeros((WINDOW, 4 * n), np.float32)
        derivatives = np.zeros((WINDOW, 3 * n), np.float32)
        padded = np.zeros((4, n + 2 * _PAD), np.float32)
        blurred = np.empty(4 * n, np.float32)
        ssim_sum = 0.0
        l1_sum = 0.0
        for t in range(max(0, top - 2 * HALF), end + 2 * HALF):
            entry = statistics[t % WINDOW]
            if t < height:
                _statistics_row(image[t], target[t], scale, padded)
                for k in range(4):
                    _blur_row(padded[k], taps, entry[k * n : (k + 1) * n])
            else:
                entry[:] = np.float32(0.0)
            c = t - HALF  # the row whose statistics are now complete
            if c < max(0, top - HALF):
                continue
            entry = derivatives[c % WINDOW]
            if c < height:
                _blur_column(statistics, (t + 1) % WINDOW, taps, blurred)
                row_sum = _derivative_row(blurred, weight[min(c, weight_rows - 1)], padded)
                if top <= c < end:
                    ssim_sum += row_sum
                for k in range(3):
                    _blur_row(padded[k], taps, entry[k * n : (k + 1) * n])
            else:
                entry[:] = np.float32(0.0)
            o = c - HALF  # the row whose derivatives are now complete
            if o < top:
                continue
            _blur_column(derivatives, (c + 1) % WINDOW, taps, blurred[: 3 * n])
            l1_sum += _gradient_row(
                image[o], target[o], scale, blurred, weight[min(o, weight_rows - 1)], by_l1, by_ssim, gradient[o]
            )
        sums[band, 0] = ssim_sum
        sums[band, 1] = l1_sum


def l1_ssim(
    image: npt.NDArray[np.float32],
    target: npt.NDArray[np.float32] | npt.NDArray[np.uint8],
    lambda_ssim: float = 0.2,
    weight: npt.NDArray[np.float32] | None = None,
    out: npt.NDArray[np.float32] | None = None,
    threads: int | None = None,
) -> tuple[LossValue, npt.NDArray[np.float32]]:
    """(1 - lambda) mean |x - y| + lambda (1 - mean SSIM), and its gradient by `image`.

    `image` (H, W, 3) float32 around 0..1, C-contiguous; `target` (H, W, 3), float32 or uint8 (taken
    as value / 255, so that targets can stay in eight bits). `weight` (H, W) float32 >= 0 makes both
    means weighted ones (a mask is a weight of zeros and ones; SSIM windows near its border still see
    what is masked). `out` receives the gradient if given. The gradient does not
    depend on the number of threads; the last bits of the value do (the order in which bands are summed).
    Raises ValueError for shapes that do not match or a weight without mass.
    """
    height, width = image.shape[:2]
    if image.shape != (height, width, 3) or target.shape != image.shape:
        raise ValueError(f"image {image.shape} and target {target.shape} must both be (H, W, 3)")
    if image.dtype != np.float32:
        raise ValueError(f"image must be float32, not {image.dtype}")
    mass = float(3 * height * width)
    if weight is None:
        rows = np.ones((1, 3 * width), np.float32)
    else:
        if weight.shape != (height, width):
            raise ValueError(f"weight {weight.shape} must be {(height, width)}")
        rows = np.repeat(np.asarray(weight, np.float32), 3, axis=1)
        mass = 3.0 * float(np.sum(weight, dtype=np.float64))
        if mass <= 0.0:
            raise ValueError("the weights of the loss sum to nothing")
    gradient = np.empty_like(image) if out is None else out
    bands = max(1, min(threads or get_num_threads(), height // MIN_BAND_ROWS))
    sums = np.zeros((bands, 2))
    _sweep(
        np.ascontiguousarray(image).reshape(height, 3 * width),
        np.ascontiguousarray(target).reshape(height, 3 * width),
        np.float32(1.0 / 255.0 if target.dtype == np.uint8 else 1.0),
        rows,
        _TAPS,
        np.float32((1.0 - lambda_ssim) / mass),
        np.float32(lambda_ssim / mass),
        bands,
        gradient.reshape(height, 3 * width),
        sums,
    )
    ssim, l1 = (sums.sum(axis=0) / mass).tolist()
    return LossValue((1.0 - lambda_ssim) * l1 + lambda_ssim * (1.0 - ssim), l1, ssim), gradient
