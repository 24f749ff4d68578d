"""What training reaches in how long: `python -m benchmarks training`.

Every run is a process of its own; every figure is the PSNR of the written PLY at the held-out views (every eighth
image in name order) by `benchmarks.reference_renderer`, which shares no code with the trainer. Three tables: the
fox by budget, through `reconstruct train` as a user calls it (no setting is chosen on these views); ours against the
plain recipe (`plain_recipe`) at equal time on two other scenes; and a run killed in the middle and resumed.
"""

from __future__ import annotations

import json
import random
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import projects, reference_renderer
from benchmarks.plain_recipe import plain_recipe

HOLDOUT = 8
FLOORS = {10.0: 27.3, 60.0: 30.5, 180.0: 31.2}
"""dB on the fox, by budget in seconds of two quiet cores."""
MARGIN_DB = 0.5
RESUME_DB = 0.2
COMPARED_SIZE = 480
COMPARED_SECONDS = 60.0


@dataclass(frozen=True)
class Options:
    """Budgets and seeds of the runs; `virtual` counts budgets in CPU time over threads instead of wall time."""

    seconds: Sequence[float] = (10.0, 60.0, 180.0)
    compared_seconds: float = COMPARED_SECONDS
    seeds: Sequence[int] = (0, 1, 2)
    tables: Sequence[str] = ("fox", "plain", "resume")
    virtual: bool = False
    cache: Path = field(default=projects.CACHE)


QUICK = Options(seconds=(10.0,), compared_seconds=10.0, seeds=(0,), tables=("fox", "plain"))


def main(options: Options) -> None:
    """Print the tables as Markdown on standard output, progress on standard error."""
    (options.cache / "scenes").mkdir(parents=True, exist_ok=True)
    clock = "CPU time / threads" if options.virtual else "wall time"
    print(f"## Training ({clock}; PSNR of the written PLY at held-out views, by the reference renderer)\n")
    fox = projects.fox_480()
    if fox is None:
        print("fox_480 is not here (RECONSTRUCTION_TEST_DATA): its tables are left out.\n")
    else:
        _warm_up(fox, options)
        if "fox" in options.tables:
            _fox_table(fox, options)
    if "plain" in options.tables:
        _plain_table(options)
    if fox is not None and "resume" in options.tables:
        _resume_table(fox, options)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _scene(options: Options, *parts: object) -> Path:
    return options.cache / "scenes" / ("-".join(str(part) for part in parts) + ".ply")


def _warm_up(fox: Path, options: Options) -> None:
    """Compile every kernel once, so that no run has to."""
    _say("compiling kernels")
    _command(fox, _scene(options, "warm-up"), 1.0, 0)


def _command(fox: Path, out: Path, seconds: float, seed: int, *more: str) -> dict[str, Any]:
    """Train as a user does; the JSON line that the command ends with."""
    done = subprocess.run(_arguments(fox, out, seconds, seed) + list(more), capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{out}: reconstruct train failed: {done.stderr.strip().splitlines()[-1:]}")
    line: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return line


def _arguments(fox: Path, out: Path, seconds: float, seed: int) -> list[str]:
    options = ["--seconds", f"{seconds:g}", "--seed", str(seed), "--holdout", str(HOLDOUT), "--device", "cpu"]
    return [sys.executable, "-m", "reconstruction_pipeline.cli", "train", str(fox), "--out", str(out), *options]


def _train(project: Path, out: Path, changes: dict[str, Any], virtual: bool) -> dict[str, Any]:
    """Train in a process of its own with changed settings; its metrics, and `psnr` by the reference renderer."""
    clock = "virtual" if virtual else "wall"
    changes = {"holdout": HOLDOUT, "device": "cpu", **changes}
    job = [sys.executable, "-m", "benchmarks.train_once", str(project), str(out), json.dumps(changes), clock]
    done = subprocess.run(job, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{out}: training failed:\n{done.stderr[-2000:]}")
    metrics: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    score = reference_renderer.score(out, project, HOLDOUT, changes.get("max_size"))
    return metrics | {"psnr": score["psnr"], "seconds": metrics["training_seconds"]}


def _fox_table(fox: Path, options: Options) -> None:
    print("### fox_480, 43 training views of 269x480\n")
    print("| budget | median | floor | seeds | splats | steps | seconds | peak MB | own evaluation |")
    print("|---|---|---|---|---|---|---|---|---|")
    for budget in options.seconds:
        runs = []
        for seed in options.seeds:
            out = _scene(options, "fox", f"{budget:g}s", seed)
            if options.virtual:
                run = _train(fox, out, {"seconds": budget, "seed": seed}, True)
                run["own"] = run["psnr_holdout_db"]
            else:
                run = _command(fox, out, budget, seed)
                run |= {"own": run["psnr"], "psnr": reference_renderer.score(out, fox, HOLDOUT)["psnr"]}
            _say(f"fox {budget:g} s seed {seed}: {run['psnr']:.2f} dB, {run['count']} splats, {run['steps']} steps")
            runs.append(run)
        cells = [f"{budget:g} s", f"**{_median(runs, 'psnr'):.2f}**", f"{FLOORS.get(budget, '-')}"]
        cells.append(" ".join(f"{run['psnr']:.2f}" for run in runs))
        cells += [f"{_median(runs, key):.0f}" for key in ("count", "steps")]
        cells += [f"{_median(runs, 'seconds'):.1f}", f"{max(run['peak_rss_mb'] for run in runs):.0f}"]
        print("| " + " | ".join([*cells, f"{_median(runs, 'own'):.2f}"]) + " |", flush=True)
    print()


def _median(runs: Sequence[dict[str, Any]], key: str) -> float:
    return statistics.median(run[key] for run in runs)


def _plain_table(options: Options) -> None:
    budget = options.compared_seconds
    print(f"### Ours against the plain recipe, {budget:g} s, {COMPARED_SIZE} px\n")
    print("The plain recipe has the best of three caps: a quarter and half of the one planned for ours, and that.\n")
    print(f"| scene | ours | plain | difference (at least {MARGIN_DB:g}) | caps: ours; plain | steps: ours; plain |")
    print("|---|---|---|---|---|---|")
    for name in (projects.SAMPLE, *projects.VIDEOS):
        _say(f"{name}: poses")
        project = projects.project(name, options.cache)
        if project is None:
            print(f"| {name} | not here (RECONSTRUCTION_TEST_DATA) | | | | |")
            continue
        base = {"seconds": budget, "max_size": COMPARED_SIZE}
        ours = _seeds(name, "ours", project, base, options)
        cap, steps = round(_median(ours, "cap")), round(_median(ours, "steps"))
        plain: dict[int, list[dict[str, Any]]] = {}
        for tried in (max(1000, cap // 4), cap // 2, cap):
            recipe = plain_recipe(project, steps)
            plain[tried] = _seeds(name, f"plain-{tried}", project, base | recipe | {"max_splats": tried}, options)
        best = max(plain, key=lambda tried: _median(plain[tried], "psnr"))
        mine, theirs = _median(ours, "psnr"), _median(plain[best], "psnr")
        others = ", ".join(f"{tried}: {_median(runs, 'psnr'):.2f}" for tried, runs in plain.items())
        print(
            f"| {name} | {mine:.2f} | {theirs:.2f} | **{mine - theirs:+.2f}** | {cap}; {others} "
            f"| {steps}; {_median(plain[best], 'steps'):.0f} |",
            flush=True,
        )
    print()


def _seeds(
    name: str, kind: str, project: Path, changes: dict[str, Any], options: Options
) -> list[dict[str, Any]]:  # fmt: skip
    runs = []
    for seed in options.seeds:
        run = _train(project, _scene(options, name, kind, seed), changes | {"seed": seed}, options.virtual)
        _say(f"{name} {kind} seed {seed}: {run['psnr']:.2f} dB, {run['count']} splats, {run['steps']} steps")
        runs.append(run)
    return runs


def _resume_table(fox: Path, options: Options) -> None:
    """`kill -9` at a random moment after the first checkpoint, then `--resume`; by the wall clock in any case."""
    budget = max(options.seconds)
    print(f"### Killed and resumed: fox_480, {budget:g} s\n")
    print("| seed | killed after | uninterrupted | resumed | difference (at most 0.2) | in all, s |")
    print("|---|---|---|---|---|---|")
    for seed in options.seeds:
        whole, out = _scene(options, "fox", "whole", seed), _scene(options, "fox", "killed", seed)
        _command(fox, whole, budget, seed)
        moment, started = _killed(fox, out, budget, seed), time.perf_counter()
        _command(fox, out, budget, seed, "--resume")
        taken = moment + time.perf_counter() - started
        scores = [reference_renderer.score(path, fox, HOLDOUT)["psnr"] for path in (whole, out)]
        difference = scores[1] - scores[0]
        print(
            f"| {seed} | {moment:.0f} s | {scores[0]:.2f} | {scores[1]:.2f} | **{difference:+.2f}** | {taken:.0f} |",
            flush=True,
        )
    print()


def _killed(fox: Path, out: Path, budget: float, seed: int) -> float:
    """Start, kill at a seeded random moment of the middle of the budget; seconds from the start of the process."""
    saved = out.with_name(f".{out.name}.checkpoint")
    moment = budget * random.Random(seed).uniform(0.4, 0.8)
    started = time.perf_counter()
    child = subprocess.Popen(_arguments(fox, out, budget, seed), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while time.perf_counter() - started < moment or not list(saved.glob("checkpoint.npz")):
        if child.poll() is not None:
            raise RuntimeError(f"{out}: the training ended before it could be killed; give it more --seconds.")
        time.sleep(0.05)
    child.send_signal(signal.SIGKILL)
    child.wait()
    return time.perf_counter() - started
