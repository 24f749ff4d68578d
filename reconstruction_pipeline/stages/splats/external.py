"""A scene trained by another program, read by our reader and judged by our gates.

The program sees the training views only. What it leaves is rendered by us from the views that it never saw, against
the photographs: what it says of itself is kept beside that, and decides nothing.
"""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from reconstruction_pipeline.artifacts.camera_poses import CameraPoses
from reconstruction_pipeline.artifacts.errors import InvalidArtifact, UsageError
from reconstruction_pipeline.artifacts.gaussian_splats import Gaussians, GaussianSplats
from reconstruction_pipeline.artifacts.ply import read_ply, sh_degree_of
from reconstruction_pipeline.artifacts.progress import Progress
from reconstruction_pipeline.artifacts.projects.handover import hand_over, hand_over_masks
from reconstruction_pipeline.artifacts.verdict import Gate, Verdict
from reconstruction_pipeline.external.failures import rejected
from reconstruction_pipeline.external.run import LOG, run_external
from reconstruction_pipeline.external.stage import ExternalStage, Outcome
from reconstruction_pipeline.stages.splats import gates
from reconstruction_pipeline.stages.splats.alignment import into_world
from reconstruction_pipeline.stages.splats.evaluate import mean_lpips, mean_scores, renderer, score
from reconstruction_pipeline.stages.splats.initialisation import Points, initial_gaussians
from reconstruction_pipeline.stages.splats.inputs import points_of, views_of
from reconstruction_pipeline.stages.splats.lpips import find_lpips
from reconstruction_pipeline.stages.splats.normalisation import normalise
from reconstruction_pipeline.stages.splats.outputs import write_comparisons, write_scene
from reconstruction_pipeline.stages.splats.settings import TrainSettings
from reconstruction_pipeline.stages.splats.state import CurveRow
from reconstruction_pipeline.stages.splats.train import TrainingResult
from reconstruction_pipeline.stages.splats.views import LoadedView, held_out_names, load_view, split


def train_externally(
    poses: CameraPoses,
    settings: TrainSettings,
    workspace: Path,
    progress: Progress,
    external: ExternalStage,
    checkpoint_folder: Path | None = None,
    weights_folder: Path | None = None,
) -> GaussianSplats:
    """The scene as the program made it, with our measurement, `external.log` and the program's own figures.

    A program that can go on finds its checkpoints again in `checkpoint_folder`, which outlives a killed run. Raises
    what `run_external` raises, `StageFailed` for a result that is no scene, and `UsageError` where the settings ask
    for another training on every view.
    """
    if settings.final_on_all:
        raise UsageError(
            f"gaussian_splats: {external.who} trains once, on the training views; leave out --final-on-all."
        )
    started = time.perf_counter()
    model = poses.model()
    entry_gate = gates.require_points(len(model.xyz))
    views = views_of(model, poses.image_path, poses.mask_path)
    training, held_out = split(views, held_out_names([view.name for view in views], settings.holdout))
    goes_on = checkpoint_folder is not None and external.program.resume is not None
    # The state of one program is none of another's.
    work = (checkpoint_folder or workspace) / external.program.digest if goes_on else workspace / ".external"
    log = workspace / LOG
    try:
        outcome = _run(poses, settings, work, log, progress, external, [view.name for view in training])
        gaussians = _read(outcome, external, log)
        alignment: dict[str, Any] = {}
        if external.program.frame:
            cameras_file = work / "output" / external.program.frame.cameras
            gaussians, alignment = into_world(gaussians, cameras_file, model, external, log)
    except BaseException:
        if not goes_on:
            shutil.rmtree(work, ignore_errors=True)
        raise
    progress.report("gaussian_splats", 0.97, 1.0, "measuring")
    loaded = [load_view(view, settings.max_size) for view in held_out]
    cameras = [view.camera for view in training]
    measured, rows, figures = _measured(gaussians, points_of(model), cameras, loaded, settings, weights_folder)
    cap = settings.max_splats or gaussians.count
    verdict = [entry_gate, *gates.model_gates(gaussians, cap), *measured]
    curve = tuple(CurveRow(step, seconds, loss, gaussians.count, 0) for step, seconds, loss in outcome.curve)
    verdict += gates.loss_gates(curve)
    result = TrainingResult(gaussians, curve, rows, tuple(verdict), {}, tuple(loaded))
    file_gates = write_scene(workspace, result, sh_degree_of(gaussians))
    if rows:
        write_comparisons(workspace, result)
    shutil.rmtree(work, ignore_errors=True)
    metrics = {
        **figures,
        "count": gaussians.count,
        "cap": settings.max_splats,
        "steps": outcome.reported.get("steps"),
        "training_seconds": round(outcome.seconds, 3),
        "training_views": len(training),
        "held_out_views": len(held_out),
        "initial_points": len(model.xyz),
        "device": "external",
        "seconds": round(time.perf_counter() - started, 3),
        "peak_rss_mb": outcome.peak_rss_mb,
        **outcome.metrics(external),
        **alignment,
    }
    return replace(GaussianSplats(workspace), metrics=metrics, verdict=Verdict.of([*result.gates, *file_gates]))


def _run(
    poses: CameraPoses,
    settings: TrainSettings,
    work: Path,
    log: Path,
    progress: Progress,
    external: ExternalStage,
    names: list[str],
) -> Outcome:
    program = external.program
    shutil.rmtree(work / "input", ignore_errors=True)
    inputs = {}
    if form := program.reads.get("project"):
        hand_over(poses, work / "input" / "project", form, names)
        inputs["project"] = work / "input" / "project"
    if "masks" in program.reads:
        inputs["masks"] = hand_over_masks(poses, work / "input" / "masks", names)
    values = {
        "seconds": settings.seconds,
        "steps": settings.steps,
        "max_splats": settings.max_splats,
        "max_size": settings.max_size,
        "sh_degree": settings.sh_degree,
        "seed": settings.seed,
    }
    return run_external(external, inputs, values, work, log, progress)


def _read(outcome: Outcome, external: ExternalStage, log: Path) -> Gaussians:
    path = outcome.results["3dgs-ply"]
    try:
        gaussians = read_ply(path)
    except InvalidArtifact as error:
        raise rejected(external, log, f"left a scene that cannot be read ({error})") from error
    if gaussians.count == 0:
        raise rejected(external, log, f"left '{path.name}' without a single splat")
    return gaussians


def _measured(
    gaussians: Gaussians,
    points: Points,
    cameras: list[Any],
    held_out: list[LoadedView],
    settings: TrainSettings,
    weights_folder: Path | None,
) -> tuple[list[Gate], tuple[Any, ...], dict[str, Any]]:
    """Gates, rows and figures of the held-out views; a scene with numbers that are none is not rendered."""
    figures: dict[str, Any] = dict.fromkeys(
        ("psnr_initial_db", "psnr_holdout_db", "ssim_holdout", "lpips_holdout", "psnr_segment_db")
    )
    finite = all(bool(np.isfinite(values).all()) for values in vars(gaussians).values())
    if not held_out or not finite:
        return [], (), figures
    frame = normalise(cameras, points.xyz)
    first = frame.undo(initial_gaussians(points._replace(xyz=frame.points(points.xyz)), settings))
    figures["psnr_initial_db"] = mean_scores(score(renderer(first, cameras), held_out))[0]
    rows = score(renderer(gaussians, cameras), held_out, find_lpips(weights_folder))
    if not rows:
        return [], (), figures
    figures["psnr_holdout_db"], figures["ssim_holdout"] = mean_scores(rows)
    figures["lpips_holdout"] = mean_lpips(rows)
    figures |= {"width": held_out[0].camera.width, "height": held_out[0].camera.height}
    return gates.quality_gates(figures["psnr_holdout_db"], figures["psnr_initial_db"]), tuple(rows), figures
