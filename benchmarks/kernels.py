"""Speed and memory of the CPU kernels: `python -m benchmarks.kernels [--quick]`; Markdown tables on stdout.

Milliseconds are the process's CPU time divided by the threads, which another program's load hardly changes; the clock
is given beside it.  The scene is made: as many tiles a splat as in a trained capture.  Last come the calibrations
against the machine of the feasibility study (two Zen 4 cores, 117 GFLOP/s of fused multiply-adds a core).
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
import time
from typing import Any

import numpy as np

from benchmarks.kernels_parts import PARTS, run

STUDY_GFLOPS = 117.0
TRAINED_SIZE = 1.75
WIDE, MIDDLE, SMALL = (540, 960), (269, 480), (134, 240)
ROUNDS = 15


def table(head: list[str], rows: list[list[str]]) -> None:
    """Print a Markdown table."""
    print("| " + " | ".join(head) + " |\n|" + " --- |" * len(head))
    for row in rows:
        print("| " + " | ".join(row) + " |", flush=True)
    print()


def configurations(quick: bool, threads: int) -> list[tuple[int, int, int, int, float]]:
    """(Gaussians, width, height, threads, splat size) of the large table."""
    if quick:
        return [(20_000, *SMALL, threads, TRAINED_SIZE), (20_000, *MIDDLE, threads, TRAINED_SIZE),
                (50_000, *MIDDLE, threads, TRAINED_SIZE)]  # fmt: skip
    found = [(count, *MIDDLE, threads, TRAINED_SIZE) for count in (20_000, 50_000, 100_000, 200_000, 500_000)]
    found += [(1_000_000, *WIDE, threads, TRAINED_SIZE)]
    found += [(50_000, *size, threads, TRAINED_SIZE) for size in (SMALL, (202, 360), (404, 720), WIDE)]
    return found + [(50_000, *MIDDLE, count, TRAINED_SIZE) for count in (1, 2) if count != threads]


def pair_configurations(quick: bool, threads: int) -> list[tuple[int, int, int, int, float]]:
    """The same Gaussians and pixels with splats of several sizes: only the number of pairs differs."""
    count, sizes = (20_000, (1.0, 2.0, 3.0)) if quick else (1_000_000, (1.0, 2.0, 4.0, 6.0, 9.0))
    return [(count, *(MIDDLE if quick else WIDE), threads, size) for size in sizes]


def parts_row(setting: tuple[int, int, int, int, float], found: dict[str, Any]) -> list[str]:
    """One configuration as cells."""
    threads = found["threads"]
    cells = [f"{setting[0] // 1000}k", f"{setting[1]}x{setting[2]}", str(threads), f"{found['pairs'] / 1000:.0f}k"]
    cells += [f"{found[name] / threads:.2f}" for name in PARTS]
    cpu = found["cpu"] / threads
    return [*cells, f"{cpu:.1f}", f"{found['clock']:.1f}", f"{1000 / cpu:.0f}", f"{found['peak'] / 1e6:.0f}"]


HEAD = ["Gaussians", "pixels", "threads", "tile pairs", *PARTS.values(), "iteration", "clock", "it/s", "peak MB"]


def line_fit(x: np.ndarray, y: np.ndarray) -> tuple[float, float, float, float]:
    """Intercept and slope of y = a + b x, R^2, and the largest deviation relative to y."""
    slope, intercept = np.polyfit(x, y, 1)
    rest = y - intercept - slope * x
    return float(intercept), float(slope), 1 - float(np.var(rest) / np.var(y)), float(np.max(np.abs(rest) / y))


def first_start() -> list[list[str]]:
    """CPU and clock seconds of a process that runs every kernel once: with an empty cache folder, and again."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name in ("nothing compiled yet", "compiled before"):
            before, clock = os.times(), time.perf_counter()
            subprocess.run(
                [sys.executable, "-m", "reconstruction_pipeline.kernels.warmup"],
                env={**os.environ, "NUMBA_CACHE_DIR": folder},
                stdout=subprocess.DEVNULL,
                check=True,
            )
            after = os.times()
            cpu = after.children_user + after.children_system - before.children_user - before.children_system
            rows.append([name, f"{cpu:.1f}", f"{time.perf_counter() - clock:.1f}"])
    return rows


def multiply_add_gflops(rounds: int = 2_000_000) -> float:
    """Peak of 16-lane fused multiply-adds of one core, in GFLOP/s of CPU time."""
    from reconstruction_pipeline.kernels.calibration import multiply_add

    multiply_add(1, 1.0)
    best = min(_cpu_of(lambda: multiply_add(rounds, 1.0)) for _ in range(9))
    return rounds * 10 * 16 * 2 / best / 1e9


def _cpu_of(action: Any) -> float:
    started = time.process_time()
    action()
    return time.process_time() - started


def main(quick: bool = False) -> None:
    """Print the tables; the short form takes about a minute."""
    threads = os.cpu_count() or 1
    rounds = 9 if quick else ROUNDS
    print(f"## CPU kernels\n\n{platform.processor() or platform.machine()}, {threads} threads, SH degree 3.\n")
    peak = multiply_add_gflops()
    print(f"Multiply-add peak: {peak:.0f} GFLOP/s a core, {peak / STUDY_GFLOPS:.2f} times the reference machine's.\n")
    print("### Parts of an iteration, milliseconds\n")
    table(HEAD, [parts_row(each, run(*each[:4], rounds, each[4])) for each in configurations(quick, threads)])

    print("### Tile pairs\n\nThe same Gaussians with splats of several sizes.\n")
    settings = pair_configurations(quick, threads)
    found = [run(*each[:4], max(5, rounds // 2), each[4]) for each in settings]
    table(HEAD, [parts_row(*each) for each in zip(settings, found, strict=True)])
    pairs = np.array([each["pairs"] for each in found], float)
    cpu = np.array([each["cpu"] / each["threads"] for each in found])
    intercept, slope, r2, worst = line_fit(pairs, cpu)
    print(
        f"An iteration takes {intercept:.1f} ms + {1e6 * slope:.0f} ns a pair: R^2 {r2:.4f}, "
        f"no measurement deviates by more than {worst:.1%}.\n"
    )
    print("### A process's first use of every kernel, seconds\n")
    table(["cache", "CPU", "clock"], first_start())


if __name__ == "__main__":
    main("--quick" in sys.argv[1:])
