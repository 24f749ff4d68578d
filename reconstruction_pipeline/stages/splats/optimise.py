"""The training loop: levels of resolution, refinements, checkpoints and the clock around single steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from reconstruction_pipeline.artifacts.progress import Progress
from reconstruction_pipeline.stages.splats import exposure as exposures
from reconstruction_pipeline.stages.splats import schedule
from reconstruction_pipeline.stages.splats.checkpoint import Saver
from reconstruction_pipeline.stages.splats.settings import TrainSettings
from reconstruction_pipeline.stages.splats.state import CurveRow, TrainState
from reconstruction_pipeline.stages.splats.steps import Scratch, gradient_step, refine
from reconstruction_pipeline.stages.splats.targets import targets_at
from reconstruction_pipeline.stages.splats.views import LoadedView

CURVE_ROWS = 200
CONTRIBUTION_SHARE = 0.07
"""The last renders also sum up what each Gaussian contributes, for the final pruning: this share of
them, or two epochs if that is more (the number of steps of a budget in seconds is not exact)."""
REPORT_SECONDS = 0.5

Clock = Callable[[], float]
"""Seconds from any start; `time.perf_counter` but in measurements on a machine that does other work too."""


def optimise(
    state: TrainState,
    plan: schedule.Plan,
    views: Sequence[LoadedView],
    settings: TrainSettings,
    progress: Progress,
    scratch: Scratch,
    clock: Clock,
    saver: Saver,
) -> None:
    """Train `state` (on the device of `scratch`) in place to the end of the plan.

    `views` are the training views at full training size, cameras in the normalised frame. `saver` is
    called whenever it is due. Raises StageFailed when a number stops being one, and
    lets Cancelled out of `progress` after a last checkpoint.
    """
    scratch.rate_scale = schedule.rate_scale(plan.steps, settings)
    started = clock() - state.elapsed
    last_report = clock()
    done = plan.progress(state.step, state.elapsed)
    collect_from = 1.0 - min(0.5, max(CONTRIBUTION_SHARE, 2.0 * len(views) / plan.steps))
    shown = -1
    while done < 1.0:
        index = plan.level_index(done)
        level = plan.levels[index]
        if index != shown:
            if 0 <= state.level != index:
                close_curve_row(state)
                exposures.decide(state.exposure, settings)
            scratch.targets = targets_at(views, level.factor, scratch.device)
            state.level = shown = index
        state.loss_sum += gradient_step(state, scratch, settings, done, done >= collect_from)
        state.loss_steps += 1
        if state.step % settings.refine_every == 0:
            refine(state, scratch.device, plan, settings, done)
        if state.loss_steps >= max(1, plan.steps // CURVE_ROWS):
            close_curve_row(state)
        now = clock()
        state.elapsed = now - started
        done = plan.progress(state.step, state.elapsed)
        try:
            if now - last_report >= REPORT_SECONDS or done >= 1.0:
                last_report = now
                loss = state.curve[-1].loss if state.curve else float("nan")
                progress.report("training", done, 1.0, f"{level.height} px, {state.count} splats, loss {loss:.4f}")
        except BaseException:
            saver(state)
            raise
        if saver.due(now):
            saver(state)
    close_curve_row(state)
    refine(state, scratch.device, plan, settings, 1.0)


def close_curve_row(state: TrainState) -> None:
    """Append the mean loss since the last row."""
    if state.loss_steps:
        mean = state.loss_sum / state.loss_steps
        state.curve.append(CurveRow(state.step, round(state.elapsed, 3), mean, state.count, state.level))
        state.loss_sum, state.loss_steps = 0.0, 0
