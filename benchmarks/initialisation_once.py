"""One process of `benchmarks.initialisation`: the depth stage, or one training from sparse or dense points.

    python -m benchmarks.initialisation_once depth|sparse|dense PROJECT FOLDER PRESET wall|virtual SECONDS SEED

The last line printed is one JSON object. Kernels are compiled before anything is timed.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.train_once import virtual_clock
from reconstruction_pipeline.artifacts import CameraPoses, DepthMaps
from reconstruction_pipeline.artifacts.progress import NullProgress
from reconstruction_pipeline.presets import PRESETS, Preset

Clock = Callable[[], float]

DENSE_SHARE = 0.8
"""Of the cap, whatever the default."""


def depth(project: Path, folder: Path, preset: Preset, clock: Clock) -> dict[str, float]:
    """Make the depth maps in FOLDER/depth; `seconds` that it took."""
    from reconstruction_pipeline.stages.depth import estimate_depth
    from reconstruction_pipeline.stages.depth.warmup import compile_all

    compile_all()
    shutil.rmtree(folder / "depth", ignore_errors=True)
    started = clock()
    maps = estimate_depth(CameraPoses(project), preset.depth_maps, folder / "depth", NullProgress())
    return {"seconds": clock() - started, "coverage": maps.metrics["coverage"]}


def train(
    project: Path, folder: Path, preset: Preset, clock: Clock, dense: bool, seconds: float, seed: int
) -> dict[str, float]:
    """Train for `seconds`; the held-out PSNR, and the seconds that fusing the dense points took before."""
    from reconstruction_pipeline.stages.splats.initialisation import Points
    from reconstruction_pipeline.stages.splats.inputs import dense_points_of, points_of, views_of
    from reconstruction_pipeline.stages.splats.scene import train_scene

    poses, fusing = CameraPoses(project), [0.0]
    model = poses.model()
    settings = replace(preset.gaussian_splats, seconds=seconds, steps=None, seed=seed, device="cpu", segment=False)
    settings = replace(settings, dense_share=DENSE_SHARE if dense else 0.0)

    def fused(names: Sequence[str]) -> Points | None:
        started = clock()
        points = dense_points_of(poses, DepthMaps(folder / "depth"), names)
        fusing[0] += clock() - started
        return points

    views = views_of(model, poses.image_path, poses.mask_path)
    result = train_scene(
        views, points_of(model), settings, NullProgress(), fused if dense else None, clock=clock
    )  # fmt: skip
    wanted = ("steps", "count", "cap", "psnr_initial_db", "initial_points", "dense_points")
    return {
        "psnr": float(result.metrics["psnr_holdout_db"]),
        "ssim": float(result.metrics["ssim_holdout"]),
        "fusing": fusing[0],
        **{name: result.metrics[name] for name in wanted},
    }


def main(kind: str, project: str, folder: str, preset: str, clock: str, seconds: str, seed: str) -> None:
    """Do it and print the figures."""
    row = PRESETS[preset]
    ticks = virtual_clock(None) if clock == "virtual" else time.perf_counter
    if kind == "depth":
        found = depth(Path(project), Path(folder), row, ticks)
    else:
        found = train(Path(project), Path(folder), row, ticks, kind == "dense", float(seconds), int(seed))
    print(json.dumps(found, default=float))


if __name__ == "__main__":
    main(*sys.argv[1:])
