"""Times one configuration: `python -m benchmarks.kernels_parts COUNT WIDTH HEIGHT THREADS ROUNDS SIZE`.

In a process of its own, so that its peak memory can be read; prints one line of JSON.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

PARTS = {
    "project": "project + SH",
    "sort_by_depth": "sort",
    "bin_into_tiles": "bin",
    "rasterize": "raster forward",
    "loss": "loss",
    "rasterize_backward": "raster backward",
    "project_backward": "projection backward",
    "adam": "Adam",
}
Times = dict[str, list[float]]


def timed(action: Callable[..., Any], spent: Times, name: str) -> Callable[..., Any]:
    """`action`, adding the process's CPU milliseconds of each call to what is spent in this round."""

    def call(*arguments: Any, **options: Any) -> Any:
        started = time.process_time()
        result = action(*arguments, **options)
        spent[name][-1] += 1e3 * (time.process_time() - started)
        return result

    return call


@contextmanager
def kernels_timed(spent: Times) -> Iterator[None]:
    """The kernels that the rasteriser calls, with a clock around each."""
    from reconstruction_pipeline.kernels import rasterizer

    names = [name for name in PARTS if hasattr(rasterizer, name)]
    originals = {name: getattr(rasterizer, name) for name in names}
    try:
        for name in names:
            setattr(rasterizer, name, timed(originals[name], spent, name))
        yield
    finally:
        for name in names:
            setattr(rasterizer, name, originals[name])


def peak_bytes() -> int:
    """Largest memory this process has had."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def measure(count: int, width: int, height: int, threads: int, rounds: int, size: float) -> dict[str, Any]:
    """Median CPU milliseconds of every part, and median clock, CPU and pairs of whole iterations; SH degree 3."""
    import numpy as np

    from reconstruction_pipeline.kernels.adam import adam_step
    from reconstruction_pipeline.kernels.layout import ROWS, aligned_zeros
    from reconstruction_pipeline.kernels.loss import l1_ssim
    from reconstruction_pipeline.kernels.made_scene import bench_view, made_scene
    from reconstruction_pipeline.kernels.rasterizer import Rasterizer

    planes, view, rasterizer = made_scene(count, size=size), bench_view(width, height), Rasterizer(threads)
    noise = np.random.default_rng(0).normal(0, 0.05, (height, width, 3))
    image = rasterizer.forward(planes, count, view).image
    target = (255 * np.clip(image + noise, 0, 1)).astype(np.uint8)
    grads, m, v = (aligned_zeros(planes.shape) for _ in range(3))
    rates = np.full(ROWS, 1e-9)
    spent: Times = {name: [] for name in (*PARTS, "clock", "cpu")}
    loss, adam = timed(l1_ssim, spent, "loss"), timed(adam_step, spent, "adam")
    with kernels_timed(spent):
        for _ in range(rounds + 1):
            for series in spent.values():
                series.append(0.0)
            clock, cpu = time.perf_counter(), time.process_time()
            image = rasterizer.forward(planes, count, view).image
            rasterizer.backward(loss(image, target, threads=threads)[1], grads)
            adam(planes, grads, m, v, count, rates, 10)
            spent["clock"][-1] = 1e3 * (time.perf_counter() - clock)
            spent["cpu"][-1] = 1e3 * (time.process_time() - cpu)
    result: dict[str, Any] = {name: statistics.median(series[1:]) for name, series in spent.items()}
    pairs = rasterizer.prepare(planes, count, view).pairs
    return result | {"pairs": pairs, "peak": peak_bytes(), "threads": rasterizer.threads}


def run(count: int, width: int, height: int, threads: int, rounds: int, size: float) -> dict[str, Any]:
    """`measure` in a process of its own."""
    import subprocess

    result = subprocess.run(
        [sys.executable, "-m", "benchmarks.kernels_parts", *map(str, (count, width, height, threads, rounds, size))],
        env={**os.environ, "NUMBA_NUM_THREADS": str(threads)},
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        raise RuntimeError(f"A measurement failed:\n{result.stderr}")
    found: dict[str, Any] = json.loads(result.stdout)
    return found


if __name__ == "__main__":
    values = sys.argv[1:]
    print(json.dumps(measure(*map(int, values[:5]), float(values[5]))))  # type: ignore[call-arg]
