"""From posed pictures and points to a measured scene, on plain arrays."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from reconstruction_pipeline.artifacts.errors import StageFailed
from reconstruction_pipeline.artifacts.gaussian_splats import Gaussians
from reconstruction_pipeline.artifacts.progress import Progress
from reconstruction_pipeline.artifacts.verdict import Gate
from reconstruction_pipeline.kernels import layout
from reconstruction_pipeline.stages.splats import checkpoint, gates, mcmc, schedule
from reconstruction_pipeline.stages.splats.devices import Device, choose_device, open_device
from reconstruction_pipeline.stages.splats.evaluate import (
    Perceptual,
    ViewScore,
    mean_lpips,
    mean_scores,
    renderer,
    score,
)
from reconstruction_pipeline.stages.splats.exposure import spread, starts_active
from reconstruction_pipeline.stages.splats.initialisation import Points, initial_gaussians, merge_points
from reconstruction_pipeline.stages.splats.memory_limits import require_fit, shrunk, train_within_memory
from reconstruction_pipeline.stages.splats.normalisation import Normalisation, normalise
from reconstruction_pipeline.stages.splats.optimise import Clock, optimise
from reconstruction_pipeline.stages.splats.pace import measure_pace
from reconstruction_pipeline.stages.splats.prune import kept
from reconstruction_pipeline.stages.splats.recipes import resolved
from reconstruction_pipeline.stages.splats.settings import TrainSettings
from reconstruction_pipeline.stages.splats.state import (
    CONTRIBUTION,
    CurveRow,
    TrainState,
    gaussians_of,
    new_state,
)
from reconstruction_pipeline.stages.splats.steps import Scratch
from reconstruction_pipeline.stages.splats.views import LoadedView, TrainingView, held_out_names, load_view, split


@dataclass(frozen=True)
class TrainingResult:
    """A trained scene: `gaussians` in the world frame of the cameras, and how it came about.

    `evaluation` has a row per held-out view (empty without held-out views); `metrics` are plain
    numbers under the names of `metrics.json`; `held_out` are those views at training size. `measured` is the
    scene that `evaluation` is of where that is not `gaussians`.
    """

    gaussians: Gaussians
    curve: tuple[CurveRow, ...]
    evaluation: tuple[ViewScore, ...]
    gates: tuple[Gate, ...]
    metrics: dict[str, Any]
    held_out: tuple[LoadedView, ...]
    measured: Gaussians | None = None


def train_splats(
    views: Sequence[TrainingView],
    points: Points,
    settings: TrainSettings,
    progress: Progress,
    dense: Points | None = None,
    checkpoint_folder: Path | None = None,
    resume: bool = False,
    clock: Clock = time.perf_counter,
    held_out_views: Collection[str] | None = None,
    perceptual: Perceptual | None = None,
) -> TrainingResult:
    """Train Gaussians on `views` (world-to-camera, any unit) from `points` of the same world.

    The held-out views (`held_out_views` by name; every settings.holdout-th if not given) are kept from
    training and scored at the end, raw. With a `checkpoint_folder` the run is saved there regularly and
    when interrupted; `resume` continues such a run. `clock` is what a budget in seconds is counted on.
    `perceptual` (LPIPS) is scored too. Raises StageFailed below 1000 points or when training diverges,
    MissingRequirement for a device this machine lacks, Cancelled when `progress` says so.
    """
    choice = choose_device(settings.device)
    if choice.device == "cuda":
        progress.report("preparing", 0.0, 1.0, "loading gsplat's kernels (built once per machine, in minutes)")
    device = open_device(choice, settings.threads)
    settings = resolved(settings, choice.device)
    entry_gate = gates.require_points(len(points.xyz))
    names = [view.name for view in views]
    apart = held_out_names(names, settings.holdout) if held_out_views is None else held_out_views
    training, held_out = _load(views, apart, settings, progress)
    width, height = training[0].camera.width, training[0].camera.height
    frame = normalise([view.camera for view in training], points.xyz)
    local = [_in_frame(view, frame) for view in training]

    wanted = schedule.InitialPoints(len(points.xyz), 0 if dense is None else len(dense.xyz))
    identity = checkpoint.fingerprint(settings, [view.name for view in training], (width, height))
    stored = checkpoint.load(checkpoint_folder, identity) if checkpoint_folder is not None and resume else None
    progress.report("preparing", 0.0, 1.0, "compiling kernels (once per machine)")
    pace, spent = measure_pace(points, frame, local, settings, device, clock)
    pace = stored[0].pace if stored else pace
    planned = schedule.plan(settings, width, height, wanted, pace, device.step_cost_ms).cap
    fitting = require_fit(device, planned, local)
    if stored is not None:
        state, cap = stored
        if cap > fitting:
            state, cap = shrunk(state, fitting), fitting
    else:
        if checkpoint_folder is not None:
            checkpoint.discard(checkpoint_folder)
        within = replace(settings, max_splats=fitting)
        state, cap = _start(points, dense, frame, local, within, pace, wanted, device, clock)
        state.elapsed += spent
        if held_out:
            first = renderer(_world(state, frame), _cameras(training), device)
            state.initial_psnr = mean_scores(score(first, held_out))[0]

    def train(trained: TrainState, cap: int) -> None:
        interval, host = settings.checkpoint_seconds, lambda current: current.off(device)
        saver = checkpoint.Saver(checkpoint_folder, cap, identity, interval, host, clock)
        within = replace(settings, max_splats=cap)
        plan = schedule.plan(within, width, height, wanted, trained.pace, device.step_cost_ms)
        scratch = Scratch(device, device.put(layout.aligned_zeros(trained.planes.shape)))
        optimise(trained, plan, local, settings, progress, scratch, clock, saver)
        if settings.segment or settings.final_on_all:
            saver(trained)  # the trainings that follow may be interrupted, and this one need not be repeated then

    state, cap = train_within_memory(state, cap, device, train)
    started = clock()
    gaussians, removed = _prune(_world(state, frame), state, settings, len(training))
    state.elapsed += clock() - started
    rows = score(renderer(gaussians, _cameras(training), device), held_out, perceptual) if held_out else []
    metrics = {
        **choice.metrics,
        **_figures(state, rows),
        "count": gaussians.count,
        "cap": cap,
        "cap_lowered_from": planned if cap < planned else None,
        "pruned": removed,
        "width": width,
        "height": height,
        "training_views": len(training),
        "held_out_views": len(held_out),
        "initial_points": len(points.xyz),
        "dense_points": 0 if dense is None else len(dense.xyz),
    }
    verdict = [
        entry_gate,
        *gates.loss_gates(state.curve),
        *gates.model_gates(gaussians, cap),
        gates.memory_gate(cap, planned),
    ]
    if rows:
        verdict += gates.quality_gates(mean_scores(rows)[0], state.initial_psnr)
    return TrainingResult(gaussians, tuple(state.curve), tuple(rows), tuple(verdict), metrics, tuple(held_out))


def _figures(state: TrainState, rows: Sequence[ViewScore]) -> dict[str, Any]:
    """What a run came to: steps, time and the scores of the held-out views, null where there are none."""
    psnr, ssim = mean_scores(rows) if rows else (None, None)
    return {
        "steps": state.step,
        "training_seconds": round(state.elapsed, 3),
        "psnr_initial_db": state.initial_psnr,
        "psnr_holdout_db": psnr,
        "ssim_holdout": ssim,
        "lpips_holdout": mean_lpips(rows),
        "psnr_segment_db": None,
        "exposure_compensated": state.exposure.active,
        "exposure_spread": spread(state.exposure),
    }


def _load(
    views: Sequence[TrainingView], apart: Collection[str], settings: TrainSettings, progress: Progress
) -> tuple[list[LoadedView], list[LoadedView]]:
    """(training, held out), decoded at training size."""
    parts = split(views, apart)
    total = sum(len(part) for part in parts)
    loaded: list[list[LoadedView]] = []
    done = 0
    for part in parts:
        loaded.append([])
        for view in part:
            loaded[-1].append(load_view(view, settings.max_size))
            done += 1
            progress.report("loading images", done, total)
    if not loaded[0]:
        raise StageFailed("There is no picture to train on; give a project with registered images.")
    return loaded[0], loaded[1]


def _in_frame(view: LoadedView, frame: Normalisation) -> LoadedView:
    """The view with its camera and depth in the normalised frame."""
    depth = None if view.depth is None else (view.depth / np.float32(frame.scale)).astype(np.float32)
    return replace(view, camera=frame.camera(view.camera), depth=depth)


def _cameras(views: Sequence[LoadedView]) -> list[Any]:
    return [view.camera for view in views]


def _start(
    points: Points,
    dense: Points | None,
    frame: Normalisation,
    views: Sequence[LoadedView],
    settings: TrainSettings,
    pace: float,
    wanted: schedule.InitialPoints,
    device: Device,
    clock: Clock,
) -> tuple[TrainState, int]:
    """State at step zero, in numpy, and the cap that the budget allows; the clock starts here."""
    started = clock()
    camera = views[0].camera
    cap = schedule.plan(settings, camera.width, camera.height, wanted, pace, device.step_cost_ms).cap
    rng = np.random.default_rng([settings.seed, 1])
    chosen = merge_points(points, dense, wanted.used(cap, settings), rng)
    local = chosen._replace(xyz=frame.points(chosen.xyz))
    gaussians = initial_gaussians(local, settings)
    gaussians = gaussians.take(layout.spatial_order(gaussians.means))
    state = new_state(gaussians, cap, len(views), starts_active(settings, len(views)), settings.seed)
    state.pace = pace
    state.elapsed = clock() - started
    return state, cap


def _world(state: TrainState, frame: Normalisation) -> Gaussians:
    return frame.undo(gaussians_of(state))


def _prune(gaussians: Gaussians, state: TrainState, settings: TrainSettings, views: int) -> tuple[Gaussians, int]:
    """Remove what contributes nothing; judged only if every view was rendered meanwhile."""
    contribution = state.tallies[CONTRIBUTION, : state.count]
    if state.contribution_views < views:
        contribution = np.zeros_like(contribution)
    keep = kept(contribution, mcmc.opacities(gaussians.opacity_logits), settings.prune_loss)
    return gaussians.take(keep), int((~keep).sum())
