"""Stages that return tiny synthetic artifacts at once, in child processes as the real ones: `location` puts them in.

Files below the folder `STAND_INS` of the environment steer them by the stage's function: while `hold/<function>`
exists it works on and on; it consumes `die/<function>` and kills itself as the kernel does when memory is short, and
`gorge/<function>` and takes memory until somebody ends it.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from reconstruction_pipeline.artifacts import Artifact, CameraPoses, DepthMaps, Verdict
from reconstruction_pipeline.artifacts.progress import Progress
from reconstruction_pipeline_tests import analytic_scene
from reconstruction_pipeline_tests.orchestration.site import BEGAN
from reconstruction_pipeline_tests.report import scenes

MAKERS: dict[str, Callable[[Path], Artifact]] = {
    "reconstruction_pipeline.stages.ingest:ingest": scenes.source_video,
    "reconstruction_pipeline.stages.keyframes:select_keyframes": scenes.keyframes,
    "reconstruction_pipeline.stages.poses:estimate_poses": scenes.camera_poses,
    "reconstruction_pipeline.stages.depth:estimate_depth": scenes.depth_maps,
    "reconstruction_pipeline.stages.splats:gaussian_splats": scenes.gaussian_splats,
    "reconstruction_pipeline.stages.mesh:extract_mesh": scenes.mesh,
    "reconstruction_pipeline.stages.compression.stage:compress_splats": scenes.compressed_splats,
}
SCENE = {"count": 9, "width": 96, "height": 72}


def stand_in(entry: str, *args: Any, progress: Progress, **options: Any) -> Artifact:
    """The artifact of a stage; `args` are the stage's own, the workspace last."""
    began, function, steering = time.monotonic(), entry.split(":")[1], Path(os.environ["STAND_INS"])
    progress.report(function, 0, 1)
    note(steering, "began", function)
    while (steering / "hold" / function).exists():
        progress.report(function, 0, 1, "held")
        time.sleep(0.02)
    if (steering / "die" / function).exists():
        (steering / "die" / function).unlink()
        os.kill(os.getpid(), signal.SIGKILL)
    if (steering / "gorge" / function).exists():
        (steering / "gorge" / function).unlink()
        taken: list[bytes] = []
        while True:
            taken.append(os.urandom(1 << 20) * 16)
    workspace: Path = args[-1]
    workspace.rmdir()  # the makers want to create it themselves
    made = MAKERS[entry](workspace)
    if not made.previews():
        scenes.draw(made.path("previews", "preview.jpg"), (320, 180), len(function))
    note(steering, "ended", function, seconds=time.monotonic() - began, cpu=time.process_time() - BEGAN)
    return replace(made, verdict=Verdict())  # the gates of a report's example are not the stages'


def itself(entry: str, *args: Any, progress: Progress, **options: Any) -> Artifact:
    """The stage itself, and a note of the processor time that it took."""
    module, function = entry.split(":")
    made: Artifact = getattr(importlib.import_module(module), function)(*args, progress=progress, **options)
    note(Path(os.environ["STAND_INS"]), "ended", function, cpu=time.process_time() - BEGAN)
    return made


def note(folder: Path, what: str, function: str, **more: object) -> None:
    """One line in `<folder>/stages.jsonl`."""
    line = json.dumps({"what": what, "function": function, "pid": os.getpid(), "at": time.time(), **more})
    with (folder / "stages.jsonl").open("a") as file:
        file.write(line + "\n")


def posed_scene(*args: Any, progress: Progress, **options: Any) -> CameraPoses:
    """Exact poses of the analytic scene, for a training that is real."""
    workspace: Path = args[-1]
    return analytic_scene.write_poses(workspace, analytic_scene.make_scene(**SCENE), points=1200)


def true_depth(*args: Any, progress: Progress, **options: Any) -> DepthMaps:
    """Its exact depth."""
    workspace: Path = args[-1]
    scene = analytic_scene.make_scene(**SCENE)
    (workspace / "depth").mkdir()
    for name, depth in zip(scene.names, scene.depths, strict=True):
        confidence = np.ones_like(depth)
        np.savez(workspace / "depth" / f"{name}.npz", depth=depth, confidence=confidence)
    return DepthMaps(workspace)
