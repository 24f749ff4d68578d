"""Spending bytes where they are seen: codes chosen by error and by the bits that their frequency makes them cost.

One price holds for a whole file: a bit is worth spending, wherever, if it lowers the squared error of the pictures
by that much. At the optimum of an evenly stepped number that is 2 ln 2 / 12 squared steps times its weight.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.kernels.cheapest import cheapest_codes
from reconstruction_pipeline.stages.compression.codecs.codebook import even_codebook, weighted_codebook

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.floating]

SLOPE = 2.0 * np.log(2.0) / 12.0
ROUNDS = 3
"""Times that codes are chosen and their prices counted again."""
BUSY = 90.0
"""Percentile of the weights at which the step of a grid is right; what is heavier still is rare."""
COARSER = 1.5
"""Steps of single numbers over that: entries then move to the mean of what they stand for."""


def default_price(count: int) -> float:
    """What a bit should save in a scene of `count` splats: small files may be truer for what little they cost.

    Between the pictures before and after there are about 56 dB at 20k splats and 50 dB at 100k.
    """
    return 5e-5 * float(np.clip(count / 100_000, 0.2, 1.6)) ** 1.43


def step_for(weights: Floats, price: float) -> float:
    """The step of an even grid at which bits are worth `price` for a heavily weighted number."""
    return float(np.sqrt(price / (SLOPE * max(float(np.percentile(weights, BUSY)), 1e-30))))


def bits_of(codes: Bytes, size: int = 256) -> npt.NDArray[np.float32]:
    """(size,) bits that an entropy coder spends on each code, given how often they occur."""
    uses = np.bincount(codes.ravel(), minlength=size) + 0.3
    return (-np.log2(uses / uses.sum())).astype(np.float32)


def priced_codes(values: Floats, weights: Floats, price: float) -> tuple[npt.NDArray[np.float32], Bytes]:
    """A codebook (256,) and codes (N, C) for `values` (N, C); each channel has prices of its own.

    The codes of a channel are chosen by `weights` (N, C) and `price`, starting from the nearest; in the end every
    entry of the book becomes the mean of what it stands for.
    """
    low, high = float(values.min()), float(values.max())
    step = COARSER * step_for(weights, price)
    if step < 0.7 * (high - low) / 255.0:
        # 256 codes are too few for even steps so small: the least error they can have is wanted.
        book = weighted_codebook(values.ravel(), weights.ravel()).astype(np.float64)
    else:
        middle = float(np.average(values, weights=weights))
        book = middle + even_codebook(np.array([low - middle, high - middle]), max(step, 1e-9)).astype(np.float64)
    codes = np.zeros(values.shape, np.uint8)
    for channel in range(values.shape[1]):
        bits = np.zeros(256, np.float32)
        for done in range(ROUNDS):
            cost = price * min(1.0, (done + 1) / (ROUNDS - 1))
            codes[:, channel] = cheapest_codes(values[:, channel], weights[:, channel], book, bits, cost)
            bits = bits_of(codes[:, channel])
    mass = np.bincount(codes.ravel(), weights=weights.ravel(), minlength=256)
    sums = np.bincount(codes.ravel(), weights=(weights * values).ravel(), minlength=256)
    used = mass > 0
    book[used] = sums[used] / mass[used]
    return book.astype(np.float32), codes


def short(book: Floats) -> list[float]:
    """A codebook as numbers of seven digits, which is what float32 holds and half of what JSON would spend."""
    return [float(f"{value:.7g}") for value in book]
