"""One stage of the sample, for `benchmarks.geometry`: `python -m benchmarks.geometry_stage STAGE PRESET FOLDER`."""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

from reconstruction_pipeline.artifacts import CameraPoses, DepthMaps, GaussianSplats
from reconstruction_pipeline.artifacts.keyframes import Keyframes
from reconstruction_pipeline.artifacts.progress import NullProgress
from reconstruction_pipeline.presets import PRESETS


def main() -> None:
    """Run the stage into FOLDER/STAGE and leave its cost in `done.json` there."""
    stage, preset, at = sys.argv[1], PRESETS[sys.argv[2]], Path(sys.argv[3])
    run = {"keyframes": _keyframes, "poses": _poses, "depth": _depth, "splats": _splats, "mesh": _mesh}[stage]
    prepared = _sample(at) if stage == "keyframes" else None
    started, cpu = time.perf_counter(), _cpu()
    run(at, preset, prepared)
    cost = {
        "seconds": time.perf_counter() - started,
        "cpu": _cpu() - cpu,
        "peak_mb": max(resource.getrusage(who).ru_maxrss for who in _WHO) / 1024,
    }
    (at / stage / "done.json").write_text(json.dumps(cost))


_WHO = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)


def _cpu() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _sample(at: Path) -> Any:
    from reconstruction_pipeline.sample import make_sample
    from reconstruction_pipeline.stages.ingest import ingest

    return ingest(make_sample(at / "sample", "demo").video, at / "source")


def _keyframes(at: Path, preset: Any, source: Any) -> None:
    from reconstruction_pipeline.stages.keyframes import select_keyframes

    select_keyframes(source, preset.keyframes, at / "keyframes")


def _poses(at: Path, preset: Any, _: Any) -> None:
    from reconstruction_pipeline.stages.poses import estimate_poses

    estimate_poses(Keyframes(at / "keyframes"), preset.camera_poses, at / "poses")


def _depth(at: Path, preset: Any, _: Any) -> None:
    from reconstruction_pipeline.stages.depth import estimate_depth

    estimate_depth(CameraPoses(at / "poses"), preset.depth_maps, at / "depth", NullProgress())


def _splats(at: Path, preset: Any, _: Any) -> None:
    from reconstruction_pipeline.stages.splats import gaussian_splats

    gaussian_splats(
        CameraPoses(at / "poses"), DepthMaps(at / "depth"), preset.gaussian_splats, at / "splats", NullProgress()
    )  # fmt: skip


def _mesh(at: Path, preset: Any, _: Any) -> None:
    from reconstruction_pipeline.stages.mesh import extract_mesh

    extract_mesh(
        GaussianSplats(at / "splats"), CameraPoses(at / "poses"), preset.mesh, at / "mesh", NullProgress(),
        depth_maps=DepthMaps(at / "depth"),
    )  # fmt: skip


if __name__ == "__main__":
    main()
