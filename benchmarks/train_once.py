"""One training in a process of its own: `python -m benchmarks.train_once PROJECT OUT.ply SETTINGS_JSON CLOCK`.

CLOCK is `wall`, or `virtual`: CPU time of the process over its threads, which on a busy machine is about what the
clock on the wall would show on a quiet one. The last line printed is one JSON object: the training's metrics.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def virtual_clock(threads: int | None) -> Callable[[], float]:
    """CPU seconds of this process over its threads."""
    count = threads or os.cpu_count() or 1
    return lambda: time.process_time() / count


def train(project: Path, out: Path, changes: dict[str, Any], virtual: bool) -> dict[str, Any]:
    """Train with `changes` to the trainer's defaults, write the scene, return the metrics."""
    from reconstruction_pipeline.artifacts.colmap import read_model
    from reconstruction_pipeline.artifacts.ply import write_ply
    from reconstruction_pipeline.artifacts.progress import NullProgress
    from reconstruction_pipeline.stages.splats.inputs import points_of, views_of
    from reconstruction_pipeline.stages.splats.scene import train_scene
    from reconstruction_pipeline.stages.splats.settings import TrainSettings

    settings = TrainSettings(**changes)
    model = read_model(project / "sparse" / "0")
    views = views_of(model, lambda name: project / "images" / name)
    clock = virtual_clock(settings.threads) if virtual else time.perf_counter
    result = train_scene(views, points_of(model), settings, NullProgress(), clock=clock)
    write_ply(out, result.gaussians, settings.sh_degree)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0
    return result.metrics | {"peak_rss_mb": round(peak, 1)}


def main(project: str, out: str, settings: str, clock: str) -> None:
    """Train and print the metrics."""
    changes = {key: tuple(value) if isinstance(value, list) else value for key, value in json.loads(settings).items()}
    print(json.dumps(train(Path(project), Path(out), changes, clock == "virtual"), default=float))


if __name__ == "__main__":
    main(*sys.argv[1:])
