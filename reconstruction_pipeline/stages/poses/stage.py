"""Camera poses: the entry function, and the order in which attempts, choice, clean-up and gates follow."""

from __future__ import annotations

import csv
import json
import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from reconstruction_pipeline.artifacts.camera_poses import CameraPoses
from reconstruction_pipeline.artifacts.colmap import ColmapModel, read_model, write_model
from reconstruction_pipeline.artifacts.errors import StageFailed
from reconstruction_pipeline.artifacts.keyframes import Keyframes
from reconstruction_pipeline.artifacts.progress import NullProgress, Progress
from reconstruction_pipeline.artifacts.verdict import Verdict
from reconstruction_pipeline.stages.poses.child import ColmapChild
from reconstruction_pipeline.stages.poses.gates import FOCAL_RANGE, MOVE, measure, pose_gates
from reconstruction_pipeline.stages.poses.geometry import drop_images, move
from reconstruction_pipeline.stages.poses.known_length import check_known_length
from reconstruction_pipeline.stages.poses.masks import write_masks
from reconstruction_pipeline.stages.poses.placement import Placement, place
from reconstruction_pipeline.stages.poses.preview import plot_path
from reconstruction_pipeline.stages.poses.rungs import ladder
from reconstruction_pipeline.stages.poses.settings import PoseSettings
from reconstruction_pipeline.stages.poses.transforms import transforms_json

# A model smaller than this is an accident of matching, not a reconstruction.
MIN_IMAGES, MIN_POINTS = 3, 20


def estimate_poses(
    keyframes: Keyframes, settings: PoseSettings, workspace: Path, progress: Progress | None = None
) -> CameraPoses:
    """Structure from motion on the keyframes, in a child process, written to `workspace`.

    Attempts follow the ladder of `rungs.py` until enough images are registered; the largest model of all
    attempts is undistorted, freed of images with hardly any points, and turned upright (`geometry.upright`).
    Raises `StageFailed` when no model comes out, or when COLMAP's process fails, dies or is late.
    """
    started = time.perf_counter()
    workspace = workspace.resolve()
    scratch = workspace / ".colmap"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    child = ColmapChild(
        scratch, workspace / "colmap.log", progress or NullProgress(), time.monotonic() + settings.time_limit_s
    )
    names = [str(name) for name in keyframes.table()["name"]]
    check_known_length(settings, names)
    try:
        best, level, attempts = _climb(keyframes, settings, child, scratch)
        registered = read_model(Path(best["path"]))
        weak = sorted(i.name for i in registered.images if len(i.xy) < settings.min_observations)
        if len(weak) > len(registered.images) // 2:
            weak = []  # not some images but the model is weak: the gate on observations says so
        model, placement = _undistorted(best, registered, weak, keyframes, settings, child, workspace)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    camera = keyframes.camera()
    plot_path(workspace / "previews" / "camera_path.jpg", model, bool(camera["ordered"]))
    placed = {image.name for image in registered.images}
    unregistered = [name for name in names if name not in placed]
    _write_images_table(workspace / "images.csv", names, registered, weak)
    lens = registered.cameras[registered.images[0].camera_id]
    metrics = measure(model, len(names), lens.params[0])
    metrics |= {
        **attempts[level],
        **placement.metrics,
        "models": len(attempts[level]["models"]),
        "dropped": len(weak),
        "seconds": round(time.perf_counter() - started, 3),
        "peak_rss_mb": round(child.peak_rss_mb, 1),
        "backend": "colmap-incremental",
        "fallback_level": level,
        "rung": ladder(settings)[level].name,
    }
    focal_ratio = lens.params[0] / max(lens.width, lens.height)
    gates = [*pose_gates(metrics, focal_ratio, unregistered, weak, level, metrics["rung"]), *placement.gates]
    return CameraPoses(workspace, metrics, Verdict.of(gates))


def _climb(
    keyframes: Keyframes, settings: PoseSettings, child: ColmapChild, scratch: Path
) -> tuple[dict[str, Any], int, list[dict[str, Any]]]:
    """(the best model, the rung it came from, what each attempt reported)."""
    groups = camera_groups(keyframes, settings)
    count = sum(len(group["names"]) for group in groups)
    attempts: list[dict[str, Any]] = []
    best: dict[str, Any] | None = None
    level = 0
    for number, rung in enumerate(ladder(settings)):
        work = scratch / f"rung-{number}"
        work.mkdir()
        result = child.run(
            {
                "task": "map",
                "work": str(work),
                "images": str(keyframes.path("images").resolve()),
                "masks": keyframes.mask_folder(),
                "groups": groups,
                "ordered": bool(keyframes.camera()["ordered"]),
                "camera_model": settings.camera_model,
                "threads": settings.threads or os.cpu_count() or 1,
                "seed": settings.seed,
                "time_limit_s": settings.time_limit_s,
                "focal_range": focal_range(groups),
                "rung": asdict(rung),
            }
        )
        attempts.append({k: v for k, v in result.items() if k not in ("event", "peak_rss_mb")})
        sound = [m for m in result["models"] if m["registered"] >= MIN_IMAGES and m["points"] >= MIN_POINTS]
        largest = max(sound, key=_size, default=None)
        if largest and (best is None or _size(largest) > _size(best)):
            best, level = largest, number
        if (best and best["registered"] >= settings.retry_below * count) or only_turned(result):
            break
    if best is None:
        raise StageFailed(_why_no_model(attempts[-1], count))
    return best, level, attempts


def only_turned(result: dict[str, Any]) -> bool:
    """Whether an attempt had plenty of matches, nearly all explained by turning (or a plane): more features
    would find more of the same.
    """
    strong = result["strong_pairs"]
    return bool(strong >= 0.5 * result["pairs"] and result["homography_pairs"] >= 0.95 * strong)


def _why_no_model(attempt: dict[str, Any], count: int) -> str:
    if only_turned(attempt):
        return (
            f"camera_poses: the {count} images match well ({attempt['strong_pairs']} of {attempt['pairs']} pairs share"
            f" many points), but the camera shows no parallax. {MOVE}"
        )
    return (
        f"camera_poses: no camera path could be found for the {count} images ({attempt['verified_pairs']} of"
        f" {attempt['pairs']} image pairs share enough points). {MOVE}"
    )


def _size(model: dict[str, Any]) -> tuple[int, int]:
    return int(model["registered"]), int(model["points"])


def camera_groups(keyframes: Keyframes, settings: PoseSettings) -> list[dict[str, Any]]:
    """Images that share a camera: the same size and the same focal length in EXIF; one group for a video.

    Each has `names`, `longest_side` (pixels) and `camera_params`: COLMAP's start values where EXIF knows the
    focal length, else empty (COLMAP then starts at 1.2 times the longest side).
    """
    groups: dict[tuple[int, int, float], list[str]] = {}
    for row in keyframes.table().to_dict("records"):
        focal = float(row.get("focal_px") or 0)
        key = (int(row["width"]), int(row["height"]), round(focal, 1) if focal == focal else 0.0)
        groups.setdefault(key, []).append(str(row["name"]))
    extra = {"SIMPLE_RADIAL": 1, "RADIAL": 2, "SIMPLE_PINHOLE": 0}.get(settings.camera_model)
    described = []
    for (width, height, focal), names in sorted(groups.items()):
        known = focal > 0 and extra is not None
        params = [focal, width / 2, height / 2] + [0.0] * (extra or 0) if known else []
        described.append({"names": names, "camera_params": params, "longest_side": max(width, height)})
    return described


def focal_range(groups: list[dict[str, Any]]) -> tuple[float, float]:
    """Believable focal lengths over the longest side; near EXIF's where every camera has one.

    Without bounds, scarce matches are explained by absurd lenses, and the model looks well.
    """
    known = [group["camera_params"][0] / group["longest_side"] for group in groups if group["camera_params"]]
    if len(known) < len(groups):
        return FOCAL_RANGE
    return 0.6 * min(known), 1.6 * max(known)


def _undistorted(
    best: dict[str, Any],
    registered: ColmapModel,
    weak: Sequence[str],
    keyframes: Keyframes,
    settings: PoseSettings,
    child: ColmapChild,
    workspace: Path,
) -> tuple[ColmapModel, Placement]:
    """Write `images/`, `sparse/0`, `transform.json` and `transforms.json`; the model as written, and its placement."""
    output = child.work / "undistorted"
    child.run(
        {
            "task": "undistort",
            "model": best["path"],
            "images": str(keyframes.path("images").resolve()),
            "output": str(output),
            "max_size": settings.max_size,
            "jpeg_quality": settings.jpeg_quality,
            "threads": settings.threads or os.cpu_count() or 1,
            "expected": len(registered.images),
        }
    )
    model = drop_images(read_model(output / "sparse"), set(weak))
    placement = place(model, keyframes, settings, output / "images")
    model = move(model, placement.similarity)
    for name in weak:
        (output / "images" / name).unlink()
    shutil.rmtree(workspace / "images", ignore_errors=True)
    shutil.move(output / "images", workspace / "images")
    write_masks(keyframes, registered, model, workspace / "masks")
    # Only the three files every reader knows: COLMAP 4's rigs and frames add nothing for single cameras.
    write_model(workspace / "sparse" / "0", model)
    placement.write(workspace)
    (workspace / "transforms.json").write_text(json.dumps(transforms_json(model), indent=1) + "\n")
    return model, placement


def _write_images_table(path: Path, names: Sequence[str], registered: ColmapModel, weak: Sequence[str]) -> None:
    """`images.csv`: what became of each keyframe."""
    seen = {image.name: len(image.xy) for image in registered.images}
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["name", "status", "observations"])
        for name in names:
            status = "dropped: few points" if name in weak else "registered" if name in seen else "not registered"
            writer.writerow([name, status, seen.get(name, 0)])
