"""The kernels' benchmark measures what it says."""

from __future__ import annotations

import numpy as np

from benchmarks.kernels import line_fit
from benchmarks.kernels_parts import PARTS, measure
from reconstruction_pipeline.kernels import rasterizer


def test_every_part_is_timed_and_the_kernels_are_put_back() -> None:
    project = rasterizer.project
    found = measure(2000, 90, 70, 1, 3, 1.75)
    assert all(found[name] > 0 for name in PARTS)
    assert sum(found[name] for name in PARTS) <= 1.2 * found["cpu"]
    assert found["pairs"] > 2000 / 2 and found["peak"] > 50e6
    assert rasterizer.project is project


def test_line_fit() -> None:
    x = np.array([1.0, 2.0, 4.0, 8.0])
    intercept, slope, r2, worst = line_fit(x, 3 + 2 * x)
    np.testing.assert_allclose((intercept, slope, r2, worst), (3, 2, 1, 0), atol=1e-9)
    assert line_fit(x, x**3)[2] < 0.97
