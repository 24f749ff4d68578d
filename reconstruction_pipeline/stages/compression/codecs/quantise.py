"""What several splat formats do alike: quaternions by their smallest three, opacity in a byte, bit fields."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.stages.compression.codecs.importance import sigmoid

SH_0 = 0.28209479177387814
"""The constant basis function: colour = 0.5 + SH_0 * f_dc."""
BLOCK = 1 << 16

Floats = npt.NDArray[np.floating]
Bytes = npt.NDArray[np.uint8]


def blocks(count: int, size: int = BLOCK) -> Iterator[slice]:
    """Consecutive slices of at most `size`, so that temporary arrays stay small however large a scene is."""
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


def unit_quaternions(quats: Floats) -> npt.NDArray[np.float64]:
    """(N, 4) of length 1; what has no direction becomes no rotation (wxyz)."""
    wide = quats.astype(np.float64)
    length = np.linalg.norm(wide, axis=1, keepdims=True)
    return np.where(length > 1e-12, wide / np.maximum(length, 1e-12), [1.0, 0.0, 0.0, 0.0])


def smallest_three(quats: Floats) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.intp]]:
    """Unit quaternions (N, 4) without their largest component, (N, 3) in +-sqrt(1/2), and its column (N,).

    The sign is chosen so that the missing component is positive; the others keep their order.
    """
    largest = np.abs(quats).argmax(axis=1)
    rows = np.arange(len(quats))
    turned = quats * np.where(quats[rows, largest] < 0, -1.0, 1.0)[:, None]
    return turned[np.arange(4) != largest[:, None]].reshape(-1, 3), largest


def from_smallest_three(rest: Floats, largest: npt.NDArray[np.integer]) -> npt.NDArray[np.float64]:
    """The inverse: unit quaternions (N, 4), also of components that are too large to belong to one."""
    quats = np.empty((len(rest), 4))
    quats[np.arange(4) != largest[:, None]] = rest.ravel()
    quats[np.arange(len(rest)), largest] = np.sqrt(np.maximum(1.0 - (rest**2).sum(axis=1), 0.0))
    return unit_quaternions(quats)


def to_bits(unit: Floats, bits: int) -> npt.NDArray[np.uint32]:
    """Numbers in 0..1 (others are clipped) rounded to integers of `bits` bits."""
    top = (1 << bits) - 1
    return np.rint(np.clip(unit, 0.0, 1.0) * top).astype(np.uint32)


def field(packed: npt.NDArray[np.uint32], shift: int, bits: int) -> npt.NDArray[np.float64]:
    """The bits `shift`..`shift + bits` of packed integers as numbers in 0..1."""
    top = (1 << bits) - 1
    return ((packed >> np.uint32(shift)) & np.uint32(top)) / top


def opacity_byte(logits: Floats) -> Bytes:
    """Opacity 0..255, rounded."""
    return np.rint(255.0 * sigmoid(logits)).astype(np.uint8)


def opacity_logit(byte: npt.NDArray[np.integer] | Floats) -> npt.NDArray[np.float32]:
    """Logits of opacities 0..255; the extremes stand for a quarter of a step, so that a logit exists."""
    opacity = np.clip(np.asarray(byte, np.float64) / 255.0, 1 / 1020, 1 - 1 / 1020)
    return np.log(opacity / (1.0 - opacity)).astype(np.float32)
