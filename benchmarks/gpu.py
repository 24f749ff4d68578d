"""Speed and memory of training steps on CUDA through gsplat: `python -m benchmarks.gpu`.

Whole steps (render, loss, gradients, Adam, noise) on a made scene, for 20k to 1M Gaussians: steps a second by the
clock, and the peak of allocated GPU memory beside the estimate that caps are planned by. Prints why not, where this
machine cannot train on CUDA.
"""

from __future__ import annotations

import statistics
import time
from typing import NamedTuple

import numpy as np

from reconstruction_pipeline.artifacts.errors import MissingRequirement
from reconstruction_pipeline.kernels.layout import ROWS
from reconstruction_pipeline.kernels.made_scene import bench_view, made_scene
from reconstruction_pipeline.stages.splats.devices import Device, choose_device, open_device

COUNTS = (20_000, 50_000, 100_000, 300_000, 1_000_000)
SIZES = ((269, 480), (540, 960), (1080, 1920))
STEPS, WARM_UP = 50, 5


class Row(NamedTuple):
    """One line of the table."""

    splats: int
    width: int
    height: int
    steps_per_second: float
    peak_bytes: int | None
    estimated_bytes: int


def measure(device: Device, count: int, width: int, height: int, steps: int = STEPS) -> Row:
    """Median speed of `steps` steps with `count` Gaussians on a picture of width x height."""
    _start_peak(device)
    view, rng = bench_view(width, height), np.random.default_rng(0)
    host = made_scene(count)
    planes, grads, m, v = (device.put(array) for array in (host, *(np.zeros_like(host) for _ in range(3))))
    score = device.put(np.zeros(host.shape[1], np.float32))
    first = device.get(device.rasterizer.forward(planes, count, view).image)
    noisy = np.clip(first + rng.normal(0.0, 0.05, first.shape), 0.0, 1.0)
    target = device.put(np.round(255.0 * noisy).astype(np.uint8))
    rates = np.full(ROWS, 1e-9, np.float32)
    times = []
    for step in range(1, WARM_UP + steps + 1):
        started = time.perf_counter()
        rendered = device.rasterizer.forward(planes, count, view)
        loss, gradient = device.l1_ssim(rendered.image, target, 0.2)
        device.rasterizer.backward(gradient, grads)
        device.add_colour_gradient(grads, count, score)
        device.regularise(planes, grads, count, 0.01, 0.01)
        device.adam_step(planes, grads, m, v, count, rates, step, 0.9, 0.999)
        device.add_noise(planes, count, 1e-9, 0, step)
        float(loss.total)  # waits for the device, as training does
        times.append(time.perf_counter() - started)
    estimate = device.memory_estimate(count, width * height, 1)
    return Row(count, width, height, 1.0 / statistics.median(times[WARM_UP:]), _peak(device), estimate)


def _start_peak(device: Device) -> None:
    device.release()
    if device.name == "cuda":
        import torch

        torch.cuda.reset_peak_memory_stats()


def _peak(device: Device) -> int | None:
    if device.name != "cuda":
        return None
    import torch

    return int(torch.cuda.max_memory_allocated())


def table(rows: list[Row]) -> str:
    """The rows in Markdown."""
    lines = ["| Gaussians | picture | steps/s | peak GB | estimated GB |", "| ---: | --- | ---: | ---: | ---: |"]
    for row in rows:
        peak = "-" if row.peak_bytes is None else f"{row.peak_bytes / 1e9:.2f}"
        lines.append(
            f"| {row.splats:,} | {row.width}x{row.height} | {row.steps_per_second:.1f} | {peak} "
            f"| {row.estimated_bytes / 1e9:.2f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Print the table, or why there is none."""
    try:
        device = open_device(choose_device("cuda"))
    except MissingRequirement as error:
        print(f"skipped: {error}")
        return
    import torch

    print(f"{torch.cuda.get_device_name(0)}, torch {torch.__version__}, CUDA {torch.version.cuda}\n")
    print(table([measure(device, count, *size) for size in SIZES for count in COUNTS]))


if __name__ == "__main__":
    main()
