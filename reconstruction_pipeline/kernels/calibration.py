"""A kernel of nothing but fused multiply-adds: what one core can do at most."""

# mypy: ignore-errors
from __future__ import annotations

from reconstruction_pipeline.kernels.jit import kernel
from reconstruction_pipeline.kernels.simd import full
from reconstruction_pipeline.kernels.simd_math import sum_lanes


@kernel()
def multiply_add(rounds, start):
    """`rounds` times ten independent multiply-adds on 16 lanes; returns their sum, so that none can be left out."""
    a, b, c, d, e = full(start), full(start + 1.0), full(start + 2.0), full(start + 3.0), full(start + 4.0)
    f, g, h, i, j = full(start + 5.0), full(start + 6.0), full(start + 7.0), full(start + 8.0), full(start + 9.0)
    x, y = full(0.999 + start * 1e-9), full(1e-3 + start * 1e-9)
    for _ in range(rounds):
        a, b, c, d, e = a * x + y, b * x + y, c * x + y, d * x + y, e * x + y
        f, g, h, i, j = f * x + y, g * x + y, h * x + y, i * x + y, j * x + y
    return sum_lanes(a + b + c + d + e + f + g + h + i + j)
