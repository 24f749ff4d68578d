"""The training loop on the CPU: render, compare, descend; relocate, grow and perturb as MCMC says."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.artifacts.errors import StageFailed
from reconstruction_pipeline.artifacts.progress import Progress
from reconstruction_pipeline.kernels import layout
from reconstruction_pipeline.kernels.adam import adam_step
from reconstruction_pipeline.kernels.colour import fitted_gain, scale_channels
from reconstruction_pipeline.kernels.langevin import add_colour_gradient, add_noise, regularise
from reconstruction_pipeline.kernels.loss import l1_ssim
from reconstruction_pipeline.kernels.rasterizer import Rasterizer
from reconstruction_pipeline.stages.splats import exposure as exposures
from reconstruction_pipeline.stages.splats import mcmc, schedule
from reconstruction_pipeline.stages.splats.evaluate import NEAR
from reconstruction_pipeline.stages.splats.settings import TrainSettings
from reconstruction_pipeline.stages.splats.state import (
    CONTRIBUTION,
    LAST_EPOCH,
    THIS_EPOCH,
    CurveRow,
    TrainState,
    sort_in_space,
)
from reconstruction_pipeline.stages.splats.views import LoadedView, area_resize

CURVE_ROWS = 200
CONTRIBUTION_SHARE = 0.07
"""The last renders also sum up what each Gaussian contributes, for the final pruning: this share of
them, or two epochs if that is more (the number of steps of a budget in seconds is not exact)."""
SORT_EVERY = 4
"""Refinements between two sortings in space, which cost about two steps each."""
DECAY_EVERY = 8
"""Steps between two applications of the decay, which passes over most of the parameters."""
REPORT_SECONDS = 0.5


@dataclass
class Scratch:
    """Buffers of a run that are not part of its state."""

    rasterizer: Rasterizer
    grads: npt.NDArray[np.float32]
    targets: list[LoadedView]
    rate_scale: float = 1.0


def shrink(views: Sequence[LoadedView], factor: int) -> list[LoadedView]:
    """All views at one level of the pyramid, still in eight bits."""
    if factor == 1:
        return list(views)
    small = []
    for view in views:
        width, height = max(1, round(view.camera.width / factor)), max(1, round(view.camera.height / factor))
        small.append(LoadedView(view.name, view.camera.scaled(width, height), area_resize(view.image, width, height)))
    return small


def next_view(state: TrainState, views: int) -> int:
    """Index of the next view: every epoch visits all views once, in a new random order."""
    if state.position >= len(state.order):
        if len(state.order):
            state.tallies[LAST_EPOCH] = state.tallies[THIS_EPOCH]
            state.tallies[THIS_EPOCH] = 0.0
            state.epochs += 1
        state.order = state.rng.permutation(views)
        state.position = 0
    state.position += 1
    return int(state.order[state.position - 1])


def gradient_step(
    state: TrainState, scratch: Scratch, settings: TrainSettings, progress: float, collect: bool = False
) -> float:
    """One view: forward, loss, backward, Adam, noise; `collect` adds to the contributions. Returns the loss."""
    index = next_view(state, len(scratch.targets))
    target = scratch.targets[index]
    rendered = scratch.rasterizer.forward(
        state.planes, state.count, target.camera,
        sh_degree=schedule.sh_degree(progress, settings), near=NEAR, contribution=collect,
    )  # fmt: skip
    if rendered.contribution is not None:
        state.tallies[CONTRIBUTION, : state.count] += rendered.contribution
        state.contribution_views += 1
    image, table = rendered.image, state.exposure
    if table.active:
        exposures.update(table, index, fitted_gain(image, target.image), progress)
        image = scale_channels(image, table.gain(index))
    value, gradient = l1_ssim(image, target.image, settings.lambda_ssim, threads=settings.threads)
    if not math.isfinite(value.total):
        raise StageFailed(
            f"The training loss stopped being a number at step {state.step}; train again with another seed."
        )
    if table.active:
        scale_channels(gradient, table.gain(index), out=gradient)
    scratch.rasterizer.backward(gradient, scratch.grads)
    add_colour_gradient(scratch.grads, state.count, state.tallies[THIS_EPOCH])
    regularise(state.planes, scratch.grads, state.count, settings.opacity_reg, settings.scale_reg)
    rates = schedule.learning_rates(progress, settings, scratch.rate_scale)
    adam_step(
        state.planes, scratch.grads, state.m, state.v, state.count, rates, state.step + 1,
        settings.beta1, settings.beta2,
    )  # fmt: skip
    if settings.sh_decay > 0 and (state.step + 1) % DECAY_EVERY == 0:
        rest = slice(layout.SH + 3, layout.ROWS)
        state.planes[rest, : state.count] *= np.float32(1.0 - DECAY_EVERY * rates[rest.start] * settings.sh_decay)
    if settings.noise > 0 and progress < settings.cooldown_start:
        amount = settings.noise * schedule.means_rate(progress, settings, 1.0)
        add_noise(state.planes, state.count, amount, settings.seed, state.step)
    state.step += 1
    return value.total


def preference(
    state: TrainState, settings: TrainSettings
) -> tuple[npt.NDArray[np.float32] | None, npt.NDArray[np.bool_] | None]:
    """Where copies are wanted (count,) and which Gaussians no view uses (count,); (None, None) in the first epoch.

    Both from the size of the colour gradients summed over the last whole epoch. Error-driven growth is
    an idea of "Revising Densification in Gaussian Splatting" (Rota Bulo et al., ECCV 2024).
    """
    score = state.tallies[LAST_EPOCH, : state.count]
    mean = float(score.mean()) if state.epochs else 0.0
    if not mean > 0.0:
        return None, None
    weight = (score / np.float32(mean)) ** np.float32(settings.by_error)
    return weight, score < settings.useless * mean


def refine(state: TrainState, plan: schedule.Plan, settings: TrainSettings, progress: float) -> None:
    """Relocate the dead and grow towards the count that the schedule wants."""
    if not np.isfinite(state.planes[:, : state.count]).all():
        raise StageFailed(f"A Gaussian stopped being a number before step {state.step}; train again with another seed.")
    if progress >= settings.refine_until:
        return
    if state.step % (SORT_EVERY * settings.refine_every) == 0:
        sort_in_space(state)
    weight, useless = preference(state, settings)
    mcmc.relocate(
        state.planes, state.moments, state.tallies, state.count, state.rng, settings.min_opacity, weight, useless
    )
    weight, _ = preference(state, settings)
    factor = plan.levels[plan.level_index(progress)].factor
    target = schedule.target_count(progress, plan.cap, plan.initial_count, factor, settings)
    state.count = mcmc.grow(
        state.planes, state.moments, state.tallies, state.count, target, state.rng, settings.min_opacity, weight
    )


def optimise(
    state: TrainState,
    plan: schedule.Plan,
    views: Sequence[LoadedView],
    settings: TrainSettings,
    progress: Progress,
    checkpoint: Callable[[TrainState], None] | None = None,
) -> None:
    """Train `state` in place to the end of the plan.

    `views` are the training views at full training size, cameras in the normalised frame. Calls
    `checkpoint` every `checkpoint_seconds`. Raises StageFailed when a number stops being one, and
    lets Cancelled out of `progress` after a last checkpoint.
    """
    grads = layout.aligned_zeros(state.planes.shape)
    scratch = Scratch(Rasterizer(settings.threads), grads, [], schedule.rate_scale(plan.steps, settings))
    started = time.perf_counter() - state.elapsed
    last_report = last_checkpoint = time.perf_counter()
    done = plan.progress(state.step, state.elapsed)
    collect_from = 1.0 - min(0.5, max(CONTRIBUTION_SHARE, 2.0 * len(views) / plan.steps))
    while done < 1.0:
        index = plan.level_index(done)
        level = plan.levels[index]
        if index != state.level or not scratch.targets:
            if state.level >= 0 and index != state.level:
                close_curve_row(state)
                exposures.decide(state.exposure, settings)
            scratch.targets = shrink(views, level.factor)
            state.level = index
        state.loss_sum += gradient_step(state, scratch, settings, done, done >= collect_from)
        state.loss_steps += 1
        if state.step % settings.refine_every == 0:
            refine(state, plan, settings, done)
        if state.loss_steps >= max(1, plan.steps // CURVE_ROWS):
            close_curve_row(state)
        now = time.perf_counter()
        state.elapsed = now - started
        done = plan.progress(state.step, state.elapsed)
        try:
            if now - last_report >= REPORT_SECONDS or done >= 1.0:
                last_report = now
                loss = state.curve[-1].loss if state.curve else float("nan")
                progress.report("training", done, 1.0, f"{level.height} px, {state.count} splats, loss {loss:.4f}")
        except BaseException:
            if checkpoint is not None:
                checkpoint(state)
            raise
        if checkpoint is not None and now - last_checkpoint >= settings.checkpoint_seconds:
            checkpoint(state)
            last_checkpoint = time.perf_counter()
    close_curve_row(state)
    refine(state, plan, settings, 1.0)


def close_curve_row(state: TrainState) -> None:
    """Append the mean loss since the last row."""
    if state.loss_steps:
        mean = state.loss_sum / state.loss_steps
        state.curve.append(CurveRow(state.step, round(state.elapsed, 3), mean, state.count, state.level))
        state.loss_sum, state.loss_steps = 0.0, 0
