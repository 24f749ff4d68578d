"""Speed of the rasteriser on a made scene: `python -m reconstruction_pipeline.kernels.bench`.

Prints, for 20k and 50k Gaussians at 134x240 and 269x480, the median milliseconds of each step by the clock, and the
process's CPU time divided by the threads: on a machine that does other work too, the second is the one to compare.
Last comes the calibration against the study machine (two Zen 4 cores at 3.65 GHz): its forward rasterisation of 20k
Gaussians at 269x480 took 3.1 ms with the study's kernel, and a core made 117 GFLOP/s of fused multiply-adds.  The
second compares machines alone; the first also holds what this kernel does better.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np

from reconstruction_pipeline.kernels.adam import adam_step
from reconstruction_pipeline.kernels.calibration import multiply_add
from reconstruction_pipeline.kernels.camera import PinholeView
from reconstruction_pipeline.kernels.layout import ROWS, Array, aligned_zeros, to_planes
from reconstruction_pipeline.kernels.loss import l1_ssim
from reconstruction_pipeline.kernels.rasterizer import Rasterizer

STUDY_FORWARD_MS = 3.1
STUDY_GFLOPS = 117.0
SIZES = ((134, 240), (269, 480))


def made_scene(count: int, seed: int = 7) -> Array:
    """Planes of a furnished room of flat splats on walls, floor and a few balls, about as dense as a trained model."""
    rng = np.random.default_rng(seed)
    kind = rng.choice(3, count, p=(0.35, 0.25, 0.4))
    u, v = rng.uniform(-1, 1, (2, count))
    directions = rng.normal(size=(count, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    centres = np.array([(-1.0, 0.9, 4.2), (0.9, 1.0, 3.4), (0.1, -0.6, 5.0)])[rng.integers(0, 3, count)]
    wall = np.stack([2.2 * u, 2.6 * v, np.full(count, 6.5)], 1)
    floor = np.stack([2.2 * u, np.full(count, 1.9), 4.5 + 2.0 * v], 1)
    ball = centres + 0.8 * directions
    means = np.choose(kind[:, None], (wall, floor, ball))
    normals = np.choose(kind[:, None], (np.tile((0, 0, 1.0), (count, 1)), np.tile((0, 1.0, 0), (count, 1)), directions))
    # Rotation taking the z axis to the normal (half-way quaternion); the third scale is the thin one.
    half = normals + np.array([0.0, 0.0, 1.0001])
    quats = np.stack([half[:, 2], -half[:, 1], half[:, 0], np.zeros(count)], 1)
    spacing = np.sqrt(60.0 / count)
    log_scales = np.log(spacing * np.array([0.6, 0.45, 0.08])) + rng.normal(0, 0.55, (count, 3))
    logits = rng.normal(0.0, 2.0, count)
    sh = rng.normal(0, 0.08, (count, 16, 3))
    sh[:, 0] = np.sin(means * 2.5) + rng.normal(0, 0.3, (count, 3))
    as32 = [table.astype(np.float32) for table in (means, log_scales, quats, logits, sh)]
    return to_planes(as32[0], as32[1], as32[2], as32[3], as32[4])


def bench_view(width: int, height: int) -> PinholeView:
    """A camera in the door of the made room, upright 9:16."""
    focal = 1.1 * height
    return PinholeView(np.eye(3), np.array([0.1, 0.0, 0.2]), focal, focal, width / 2, height / 2, width, height)


def measure(action: Callable[[], object], calls: int = 25) -> tuple[float, float]:
    """Median milliseconds of a call: by the clock, and of process CPU time."""
    action()
    wall, cpu = [], []
    for _ in range(calls):
        t, c = time.perf_counter(), time.process_time()
        action()
        wall.append(1e3 * (time.perf_counter() - t))
        cpu.append(1e3 * (time.process_time() - c))
    return statistics.median(wall), statistics.median(cpu)


def bench(count: int, width: int, height: int, threads: int | None = None) -> dict[str, tuple[float, float]]:
    """Median (clock, CPU) milliseconds of forward, loss, backward, Adam and the whole iteration."""
    planes, view, rasterizer = made_scene(count), bench_view(width, height), Rasterizer(threads)
    target = rasterizer.forward(planes, count, view).image
    grads, m, v = (aligned_zeros(planes.shape) for _ in range(3))
    rates = np.full(ROWS, 1e-9)
    target = np.clip(target + np.random.default_rng(0).normal(0, 0.05, target.shape).astype(np.float32), 0, 1)
    grad_image = l1_ssim(target * 0.9, target)[1]

    def iteration() -> None:
        image = rasterizer.forward(planes, count, view).image
        rasterizer.backward(l1_ssim(image, target)[1], grads)
        adam_step(planes, grads, m, v, count, rates, 10)

    return {
        "forward": measure(lambda: rasterizer.forward(planes, count, view)),
        "loss": measure(lambda: l1_ssim(target * 0.9, target)),
        "backward": measure(lambda: rasterizer.backward(grad_image, grads)),
        "adam": measure(lambda: adam_step(planes, grads, m, v, count, rates, 10)),
        "iteration": measure(iteration),
    }


def multiply_add_gflops(rounds: int = 2_000_000) -> float:
    """Peak of 16-lane fused multiply-adds of one core, in GFLOP/s of CPU time."""
    cpu = measure(lambda: multiply_add(rounds, 1.0), 9)[1]
    return rounds * 10 * 16 * 2 / (cpu * 1e6)


def raster_forward_ms(threads: int | None = None) -> float:
    """CPU milliseconds / threads of the forward pass on 20k Gaussians at 269x480, less that of what precedes it."""
    planes, view, rasterizer = made_scene(20_000), bench_view(269, 480), Rasterizer(threads)
    whole = measure(lambda: rasterizer.forward(planes, 20_000, view))[1]
    before = measure(lambda: rasterizer.prepare(planes, 20_000, view))[1]
    return (whole - before) / rasterizer.threads


def main() -> None:
    """Print the table."""
    threads = Rasterizer().threads
    print(f"{threads} threads; milliseconds, median of 25: clock (CPU time / threads)")
    for count in (20_000, 50_000):
        for width, height in SIZES:
            row = bench(count, width, height)
            cells = [f"{name} {wall:.1f} ({cpu / threads:.1f})" for name, (wall, cpu) in row.items()]
            print(f"{count // 1000}k {width}x{height}: " + ", ".join(cells), flush=True)
    forward, peak = raster_forward_ms(), multiply_add_gflops()
    print(f"raster forward, 20k at 269x480: {forward:.2f} ms, {forward / STUDY_FORWARD_MS:.2f} of the study's time")
    print(f"multiply-add peak: {peak:.0f} GFLOP/s a core, {STUDY_GFLOPS / peak:.2f} of the study's time")


if __name__ == "__main__":
    main()
