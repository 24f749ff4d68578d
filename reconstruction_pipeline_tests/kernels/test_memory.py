"""The memory estimate against what a process is measured to take."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from reconstruction_pipeline.kernels.memory import expected_pairs, memory_estimate

ROOT = Path(__file__).parents[2]
MEASURE = """
import sys
import numpy as np
from pathlib import Path
from reconstruction_pipeline.kernels.layout import LOG_SCALE
from reconstruction_pipeline.kernels.rasterizer import Rasterizer
from reconstruction_pipeline_tests.kernels.gaussian_reference import planes_of, random_scene, turned_view

def peak():
    return next(int(l.split()[1]) * 1024 for l in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in l)

def use(planes, count, grads, view, rasterizer):
    rendered = rasterizer.forward(planes, count, view, depth=True, contribution=True)
    rasterizer.backward(rendered.image, grads, grad_expected_depth=rendered.alpha)

count, at_once = int(sys.argv[1]), int(sys.argv[2])
tables = random_scene(count)
planes, view = planes_of(tables), turned_view(480, 270)
planes[LOG_SCALE : LOG_SCALE + 3] -= 2.5
tables, grads = None, np.ones_like(planes)
use(planes, 64, grads, turned_view(), Rasterizer(pairs_at_once=1))  # compiles, or loads what is compiled
Path("/proc/self/clear_refs").write_text("5")  # the peak of that is not meant
before, rasterizer = peak(), Rasterizer(pairs_at_once=at_once)
use(planes, count, grads, view, rasterizer)
print(peak() - before, rasterizer._last.pairs)
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peak memory is measured through Linux's /proc")
@pytest.mark.parametrize("at_once", [1 << 22, 1 << 18])
def test_estimate_is_what_a_process_takes(at_once: int) -> None:
    count = 200_000
    result = subprocess.run(
        [sys.executable, "-c", MEASURE, str(count), str(at_once)],
        cwd=ROOT, env=dict(os.environ), capture_output=True, text=True, timeout=280, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    measured, pairs = map(int, result.stdout.split())
    assert pairs > 2 * (1 << 18)  # so that the second case does go over the picture in bands
    estimated = memory_estimate(count, 480 * 270, pairs_per_gaussian=pairs / count, pairs_at_once=at_once)
    assert 0.8 < estimated / measured < 1.25, (estimated, measured, pairs)


def test_a_million_gaussians_fit_in_a_few_gigabytes() -> None:
    assert memory_estimate(1_000_000, 960 * 540) < 1e9
    assert memory_estimate(1_000_000, 960 * 540, pairs_per_gaussian=100) < 2e9


def test_more_of_anything_takes_more() -> None:
    base = memory_estimate(50_000, 130_000)
    assert base < memory_estimate(60_000, 130_000) < memory_estimate(60_000, 200_000)
    assert base < memory_estimate(50_000, 130_000, pairs_per_gaussian=2 * expected_pairs(50_000, 130_000))
