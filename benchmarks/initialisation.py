"""Dense against sparse first Gaussians at equal total time: `python -m benchmarks initialisation [--quick]`.

Three real captures, poses and depth as in preset `balanced` (with --quick all of `fastest`). The sparse training has
the preset's time. The dense ones have shares of it, and start from the sparse points and from points fused of the
depth maps, as the pipeline does. Where the dense curve, a straight line between the trainings over the logarithm of
time, meets the PSNR of the sparse training, is the dense training's time to that PSNR. It is compared twice: with the
time of the depth stage, and without, as the stage runs in any case where its maps are wanted for themselves. Fusing
counts in both.

Every training and every depth stage is a process of its own; time is the clock on the wall, or, on a machine that is
not quiet, CPU time over threads (--virtual-clock). PSNR is raw, on every eighth view.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks import projects

SCENES = ("apple_handheld", "desk_handheld", "fox")
SHARES = (0.35, 0.5, 0.7, 1.0)
TARGET = 0.7
"""Dense is worth it where it needs at most this share of the time, on two of the three."""


@dataclass(frozen=True)
class Options:
    """`seconds`: the budget of the sparse training (None: the preset's); `shares` of it are the dense ones', rising."""

    preset: str = "balanced"
    seconds: float | None = None
    seeds: Sequence[int] = (0, 1)
    scenes: Sequence[str] = SCENES
    shares: Sequence[float] = SHARES
    virtual: bool = False
    cache: Path = field(default=projects.CACHE)


QUICK = Options(preset="fastest", seeds=(0,))


class Curve(NamedTuple):
    """PSNR (dB) of the dense trainings over their seconds, both ascending in time."""

    seconds: list[float]
    psnr: list[float]

    def time_to(self, psnr: float) -> float | None:
        """Seconds until it is reached, on straight lines over the logarithm of time; None where it is never."""
        if self.psnr[0] >= psnr:
            return self.seconds[0]
        logs = np.log(self.seconds)
        for k in range(1, len(logs)):
            if self.psnr[k] >= psnr:
                share = (psnr - self.psnr[k - 1]) / (self.psnr[k] - self.psnr[k - 1])
                return float(np.exp(logs[k - 1] + share * (logs[k] - logs[k - 1])))
        return None


def main(options: Options) -> None:
    """Print the table as Markdown on standard output, progress on standard error."""
    from reconstruction_pipeline.presets import PRESETS

    training = PRESETS[options.preset].gaussian_splats
    budget = options.seconds or training.seconds
    assert budget is not None
    clock = "CPU time / threads" if options.virtual else "wall time"
    seeds = f"{len(options.seeds)} seed{'s' if len(options.seeds) > 1 else ''}, median"
    print(f"## Dense and sparse first Gaussians, {budget:g} s at {training.max_size} px ({clock}; {seeds})\n")
    shares = " | ".join(f"dense, {share:g}" for share in options.shares)
    print(f"| scene | sparse PSNR | {shares} | depth stage | fusing | time ratio with depth | without |")
    print("|---|" + "---|" * (len(options.shares) + 5))
    met = 0
    for name in options.scenes:
        met += _scene(name, budget, options)
    print(f"\nAt most {TARGET:g} of the time with the depth stage: {met} of {len(options.scenes)} (wanted: 2 of 3).\n")


def _scene(name: str, budget: float, options: Options) -> bool:
    project = projects.project(name, options.cache)
    if project is None:
        print(f"| {name} | not here (RECONSTRUCTION_TEST_DATA) |" + " |" * (len(options.shares) + 4))
        return False
    folder = options.cache / "initialisation" / f"{name}-{options.preset}"
    depth = _once("depth", project, folder, options, 0.0, 0)
    runs: dict[float, list[dict[str, float]]] = {0.0: []}
    runs |= {share: [] for share in options.shares}
    for seed in options.seeds:
        runs[0.0].append(_once("sparse", project, folder, options, budget, seed))
        for share in options.shares:
            runs[share].append(_once("dense", project, folder, options, share * budget, seed))
    sparse = statistics.median(run["psnr"] for run in runs[0.0])
    dense = [statistics.median(run["psnr"] for run in runs[share]) for share in options.shares]
    fusing = statistics.median(run["fusing"] for share in options.shares for run in runs[share])
    needed = Curve([share * budget for share in options.shares], dense).time_to(sparse)
    with_depth = None if needed is None else (depth["seconds"] + fusing + needed) / budget
    without = None if needed is None else (fusing + needed) / budget
    first = needed is not None and needed <= options.shares[0] * budget
    cells = [name, f"{sparse:.2f}", *(f"{psnr:.2f}" for psnr in dense), f"{depth['seconds']:.1f} s", f"{fusing:.1f} s"]
    cells += [_ratio(with_depth, first), _ratio(without, first)]
    print("| " + " | ".join(cells) + " |", flush=True)
    return with_depth is not None and with_depth <= TARGET


def _ratio(ratio: float | None, at_most: bool) -> str:
    return "not reached" if ratio is None else f"{'≤ ' if at_most else ''}**{ratio:.2f}**"


def _once(
    kind: str, project: Path, folder: Path, options: Options, seconds: float, seed: int
) -> dict[str, float]:  # fmt: skip
    clock = "virtual" if options.virtual else "wall"
    job = [sys.executable, "-m", "benchmarks.initialisation_once", kind, str(project), str(folder), options.preset]
    done = subprocess.run([*job, clock, f"{seconds:g}", str(seed)], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{folder.name}: {kind} failed:\n{done.stderr[-2000:]}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    print(f"{folder.name} {kind} {seconds:g} s seed {seed}: {found}", file=sys.stderr, flush=True)
    return found
