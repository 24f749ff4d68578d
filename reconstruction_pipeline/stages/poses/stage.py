"""Camera poses: the entry function, and the order in which attempts, choice, clean-up and gates follow."""

from __future__ import annotations

import contextlib
import csv
import importlib
import json
import shutil
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from reconstruction_pipeline.artifacts.camera_poses import CameraPoses
from reconstruction_pipeline.artifacts.colmap import ColmapModel, read_model, write_model
from reconstruction_pipeline.artifacts.keyframes import Keyframes
from reconstruction_pipeline.artifacts.progress import NullProgress, Progress
from reconstruction_pipeline.artifacts.verdict import Verdict
from reconstruction_pipeline.stages.poses.cameras import check_settings
from reconstruction_pipeline.stages.poses.candidates import Candidate, left_behind
from reconstruction_pipeline.stages.poses.child import ColmapChild
from reconstruction_pipeline.stages.poses.circle import turntable_report
from reconstruction_pipeline.stages.poses.climb import climb
from reconstruction_pipeline.stages.poses.doubts import (
    external_gate,
    focal_gates,
    fold_gate,
    one_piece_gate,
    stray_gate,
    trajectory_gate,
)
from reconstruction_pipeline.stages.poses.external import check_external, only_external
from reconstruction_pipeline.stages.poses.focal import settle_focal
from reconstruction_pipeline.stages.poses.from_given import take_given
from reconstruction_pipeline.stages.poses.gates import measure, pose_gates
from reconstruction_pipeline.stages.poses.geometry import drop_images, move
from reconstruction_pipeline.stages.poses.imports.given import given_on_keyframes
from reconstruction_pipeline.stages.poses.known_length import check_known_length
from reconstruction_pipeline.stages.poses.masks import write_masks
from reconstruction_pipeline.stages.poses.placement import Placement, place
from reconstruction_pipeline.stages.poses.places import Places
from reconstruction_pipeline.stages.poses.preview import plot_path
from reconstruction_pipeline.stages.poses.settings import PoseSettings
from reconstruction_pipeline.stages.poses.trajectory import find_jumps
from reconstruction_pipeline.stages.poses.transforms import transforms_json

if TYPE_CHECKING:
    from reconstruction_pipeline.external.stage import ExternalStage

# What the worker says of the attempt that is also a metric.
REPORTED = (
    "cpu_s",
    "features_per_image",
    "pairs",
    "held_out_pairs",
    "verified_pairs",
    "strong_pairs",
    "homography_pairs",
)

# What is kept of each rung that was tried.
RECORDED = ("name", "why", "looked_at", "chosen", "registered", "points", "folded", "failed")


def estimate_poses(
    keyframes: Keyframes,
    settings: PoseSettings,
    workspace: Path,
    progress: Progress | None = None,
    external: ExternalStage | None = None,
) -> CameraPoses:
    """Structure from motion on the keyframes, in a child process, written to `workspace`.

    Poses that came with the capture take its place, unless `settings.given_poses` is "ignore" (`from_given.py`); those
    of another program, `external`, take the place of both.
    Attempts follow the ladder of `rungs.py` until enough images are registered; the best model of all attempts is
    undistorted, freed of images that have hardly any points or contradict the rest, and placed (`placement.py`).
    Raises `StageFailed` when no model comes out, or when COLMAP's process fails, dies or is late;
    `MissingRequirement` or `UsageError` for settings that cannot be met.
    """
    if external is not None:
        settings = replace(settings, external=external, external_only=True)
    check_settings(settings)
    check_external(settings)
    started = time.perf_counter()
    threading.Thread(target=_import_ahead, daemon=True).start()
    workspace = workspace.resolve()
    scratch = workspace / ".colmap"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    child = ColmapChild(
        scratch, workspace / "colmap.log", progress or NullProgress(), time.monotonic() + settings.time_limit_s
    )
    names = [str(name) for name in keyframes.table()["name"]]
    check_known_length(settings, Places.of(keyframes))
    try:
        use_given = settings.given_poses == "use" and not settings.external_only
        given = given_on_keyframes(keyframes) if use_given else None
        found = (
            only_external(keyframes, settings, child, scratch)
            if settings.external_only
            else climb(keyframes, settings, child, scratch)
            if given is None
            else take_given(given, keyframes, settings, child)
        )
        found, focal = settle_focal(found, keyframes, settings, child)
        registered, strays = found.best.model, found.best.evidence.strays
        weak = sorted(i.name for i in registered.images if len(i.xy) < settings.min_observations)
        rig = keyframes.rig()
        if rig is not None or len(weak) > len(registered.images) // 2:
            weak = []  # placed by what other views see; or the model is weak, and the gate on observations says so
        left_out = dict.fromkeys(strays, "dropped: contradicts its matches") | dict.fromkeys(
            weak, "dropped: few points"
        )
        others = left_behind(found.best, found.attempt())
        model, placement = _undistorted(found.best, left_out, keyframes, settings, child, workspace)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    camera = keyframes.camera()
    plot_path(workspace / "previews" / "camera_path.jpg", model, bool(camera["ordered"]))
    placed = {image.name for image in registered.images}
    unregistered = [name for name in names if name not in placed]
    linking = {image.name for image in model.images} & keyframes.not_for_training()
    became = left_out | dict.fromkeys(linking, "registered, for the path only")
    _write_images_table(workspace / "images.csv", names, registered, became)
    lens = registered.cameras[registered.images[0].camera_id]
    metrics = measure(model, len(names), lens.params[0])
    evidence, attempt = found.best.evidence, found.attempt()
    joins = [join for join in attempt.get("joins", ()) if join["joined"] and set(join["images"]) <= placed]
    metrics |= {
        **{k: attempt[k] for k in REPORTED},
        **attempt.get("external", {}),
        **focal.metrics,
        **placement.metrics,
        "models": len(attempt["models"]),
        "parts_joined": len(joins),
        "parts_left_out": len(others),
        "dropped": len(left_out),
        "for_path_only": len(linking),
        "strong_pairs_tested": evidence.strong,
        "broken_pairs": len(evidence.broken),
        "overlapping_pairs_tested": evidence.overlapping,
        "missing_pairs": len(evidence.missing),
        "seconds": round(time.perf_counter() - started, 3),
        "peak_rss_mb": round(child.peak_rss_mb, 1),
        "backend": found.best.backend,
        "fallback_level": found.best.level,
        "rung": found.best.rung,
        "rungs": [{k: a.get(k) for k in RECORDED} for a in found.attempts],
    }
    doubts = [
        fold_gate(evidence),
        stray_gate(strays),
        one_piece_gate(joins, others),
        *focal_gates(lens.params[0] / max(lens.width, lens.height), found.focal_range),
        *focal.gates,
    ]
    if settings.turntable and found.best.mapper != "given":
        numbers, gate = turntable_report(found)
        metrics |= numbers
        doubts.append(gate)
    if found.failure():
        doubts.append(external_gate(found.failure()))
    if camera["ordered"]:
        times = keyframes.table().set_index("name")["timestamp_s"].dropna().to_dict()
        times = {name: time for name, time in times.items() if rig is None or name in rig.reference}
        doubts.append(trajectory_gate(find_jumps(model, {str(k): float(v) for k, v in times.items()})))
    gates = [*pose_gates(metrics, unregistered, weak, found.best.level, found.best.rung, doubts), *placement.gates]
    return CameraPoses(workspace, metrics, Verdict.of(gates))


def _import_ahead() -> None:
    """What is needed afterwards is loaded while COLMAP works, most of the time on one core."""
    with contextlib.suppress(ImportError):  # told where it is missed
        for name in ("scipy.sparse", "scipy.linalg", "matplotlib.backends.backend_agg", "matplotlib.figure"):
            importlib.import_module(name)


def _undistorted(
    best: Candidate,
    left_out: Collection[str],
    keyframes: Keyframes,
    settings: PoseSettings,
    child: ColmapChild,
    workspace: Path,
) -> tuple[ColmapModel, Placement]:
    """Write `images/`, `sparse/0`, `transform.json` and `transforms.json`; the whole model, and its placement.

    Soft frames have done their work once everything is placed: what is written has none of them, so that nothing that
    comes after, nor another trainer, learns from their blur.
    """
    output = child.work / "undistorted"
    child.run(
        {
            "task": "undistort",
            "model": str(best.folder),
            "images": str(keyframes.path("images").resolve()),
            "output": str(output),
            "max_size": settings.max_size,
            "jpeg_quality": settings.jpeg_quality,
            "threads": settings.thread_count(),
            "expected": len(best.model.images),
        }
    )
    model = drop_images(read_model(output / "sparse"), set(left_out))
    placement = place(model, keyframes, settings, output / "images")
    model = move(model, placement.similarity)
    delivered = drop_images(model, keyframes.not_for_training())
    for name in {image.name for image in best.model.images} - {image.name for image in delivered.images}:
        (output / "images" / name).unlink()
    shutil.rmtree(workspace / "images", ignore_errors=True)
    shutil.move(output / "images", workspace / "images")
    write_masks(keyframes, best.model, delivered, workspace / "masks")
    # Only the three files every reader knows: COLMAP 4's rigs and frames add nothing for single cameras.
    write_model(workspace / "sparse" / "0", delivered)
    placement.write(workspace)
    (workspace / "transforms.json").write_text(json.dumps(transforms_json(delivered), indent=1) + "\n")
    return model, placement


def _write_images_table(path: Path, names: Sequence[str], registered: ColmapModel, left_out: Mapping[str, str]) -> None:
    """`images.csv`: what became of each keyframe."""
    seen = {image.name: len(image.xy) for image in registered.images}
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["name", "status", "observations"])
        for name in names:
            status = left_out.get(name) or ("registered" if name in seen else "not registered")
            writer.writerow([name, status, seen.get(name, 0)])
