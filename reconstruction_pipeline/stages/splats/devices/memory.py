"""How much memory a training run needs, and the largest number of Gaussians that fits; plain arithmetic."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from reconstruction_pipeline.kernels import layout
from reconstruction_pipeline.kernels.memory import memory_estimate

PARAMETER_BYTES = 4 * layout.ROWS
SHARE = 0.9
"""Of the memory that is free: allocators waste some, and views differ in how much they see."""
SMALLEST_CAP = 10_000
"""Fewer Gaussians than this make no scene worth training."""
CONTROL_GROUP = Path("/sys/fs/cgroup")
"""Where a container finds its own limits (cgroup v2)."""
SHRINK = 0.7
"""What is left of the cap after memory ran out."""

# A Gaussian on the GPU: parameters, gradients and two moments; their copies for gsplat with gradients; the three
# tallies; activations, projection and colour with gradients (some 65 floats); and tile pairs, about eight at once,
# of 40 bytes with what sorting needs.
GPU_SPLAT_BYTES = 4 * PARAMETER_BYTES + 2 * PARAMETER_BYTES + 3 * 4 + 65 * 4 + 8 * 40
# A pixel of one picture: the render with gradients, and the planes of SSIM (some 100 floats at the peak).
GPU_PIXEL_BYTES = 4 * 110
GPU_FIXED_BYTES = 256 * 2**20
"""Workspaces of sorting and of the libraries."""


def gpu_bytes(cap: int, pixels: int, views: int, bytes_per_pixel: float = 3.0) -> int:
    """GPU memory in bytes at the peak of a run with `cap` Gaussians on `views` pictures of `pixels` pixels.

    `bytes_per_pixel` is what a target holds: 3 for the picture, 1 more with alpha, 4 more with a mask, 4 more with
    depth. The field measures 1.98 GB for a million Gaussians (gsplat's MCMC preset at about one megapixel, without
    the pictures); this gives 2.7 GB, to be on the safe side.
    """
    return int(cap * GPU_SPLAT_BYTES + pixels * (GPU_PIXEL_BYTES + views * bytes_per_pixel) + GPU_FIXED_BYTES)


# What the trainer itself holds of a Gaussian on the CPU: parameters, gradients, two moments, the copy of the start,
# and the tallies.
CPU_SPLAT_BYTES = 5 * PARAMETER_BYTES + 3 * 4
CPU_PIXEL_BYTES = 4 * 3
"""The gradient of the picture."""


def cpu_bytes(cap: int, pixels: int, views: int, bytes_per_pixel: float = 3.0) -> int:
    """Main memory in bytes that a run on the CPU takes at its peak, on top of the loaded pictures.

    Arguments as `gpu_bytes`; the pictures are held once more at the size of a level.
    """
    held = cap * CPU_SPLAT_BYTES + pixels * (CPU_PIXEL_BYTES + views * bytes_per_pixel)
    return int(held) + memory_estimate(cap, pixels)


def host_available() -> int | None:
    """Bytes of main memory that can be had without swapping, as Linux and the container's limit say; None elsewhere."""
    table = Path("/proc/meminfo")
    if not table.is_file():
        return None
    found = re.search(r"^MemAvailable:\s+(\d+) kB", table.read_text(), re.MULTILINE)
    free = [int(found.group(1)) * 1024] if found else []
    limit, used = (CONTROL_GROUP / name for name in ("memory.max", "memory.current"))
    if limit.is_file() and used.is_file() and (most := limit.read_text().strip()).isdigit():
        free.append(max(0, int(most) - int(used.read_text())))
    return min(free, default=None)


class Fit(NamedTuple):
    """The cap to train with, and the one that was asked for where that did not fit."""

    cap: int
    lowered_from: int | None = None


def fitting_cap(estimate: Callable[[int], int], cap: int, available: int | None) -> Fit | None:
    """The largest number of Gaussians up to `cap` whose `estimate` (bytes) fits into SHARE of `available`.

    None `available` means nobody knows, and anything fits. None is returned where not even SMALLEST_CAP fits.
    """
    if available is None or estimate(cap) <= SHARE * available:
        return Fit(cap)
    low, high = min(SMALLEST_CAP, cap), cap
    if estimate(low) > SHARE * available:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if estimate(middle) <= SHARE * available else (low, middle)
    return Fit(low, cap)
