"""One step of training and one refinement: pure steps on an explicit state, the same on every device."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.artifacts.errors import StageFailed
from reconstruction_pipeline.kernels import layout
from reconstruction_pipeline.stages.splats import exposure as exposures
from reconstruction_pipeline.stages.splats import mcmc, schedule
from reconstruction_pipeline.stages.splats.devices.base import Array, Device, Rendered
from reconstruction_pipeline.stages.splats.evaluate import NEAR
from reconstruction_pipeline.stages.splats.settings import TrainSettings
from reconstruction_pipeline.stages.splats.state import (
    CONTRIBUTION,
    LAST_EPOCH,
    THIS_EPOCH,
    TrainState,
    sort_in_space,
)
from reconstruction_pipeline.stages.splats.targets import Target

SORT_EVERY = 4
"""Refinements between two sortings in space, which cost about two steps each."""
DECAY_EVERY = 8
"""Steps between two applications of the decay, which passes over most of the parameters."""
BLACK = (0.0, 0.0, 0.0)


@dataclass
class Scratch:
    """What a run needs beside its state: the device, the gradients (59, capacity), the level's targets."""

    device: Device
    grads: Array
    targets: Sequence[Target] = field(default_factory=list)
    rate_scale: float = 1.0


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
    """One view: forward, loss, backward, Adam, noise; `collect` adds to the contributions. Returns the colour loss."""
    device = scratch.device
    index = next_view(state, len(scratch.targets))
    target = scratch.targets[index]
    with_depth = wants_depth(state.step, target, settings, progress)
    # A cut-out object over a random colour: what is behind it cannot hide in the background's own.
    background = BLACK if target.alpha is None else tuple(state.rng.random(3).tolist())
    rendered = device.rasterizer.forward(
        state.planes, state.count, target.camera, sh_degree=schedule.sh_degree(progress, settings),
        background=background, near=NEAR, depth=with_depth, contribution=collect,
    )  # fmt: skip
    if rendered.contribution is not None:
        state.tallies[CONTRIBUTION, : state.count] += rendered.contribution
        state.contribution_views += 1
    wanted = target.image if target.alpha is None else device.composite(target.image, target.alpha, background)
    loss, gradient = _colour_loss(state, device, settings, index, rendered, wanted, target.weight, progress)
    by_depth = None
    if with_depth and rendered.expected_depth is not None and target.depth is not None:
        weight = schedule.depth_weight(progress, settings)
        by_depth = device.depth_loss(rendered.expected_depth, target.depth, weight)[1]
    device.rasterizer.backward(gradient, scratch.grads, grad_expected_depth=by_depth)
    _descend(state, scratch, settings, progress)
    # Read last: on CUDA that waits for all of the step.
    if not math.isfinite(total := float(loss)):
        raise StageFailed(
            f"The training loss stopped being a number at step {state.step}; train again with another seed."
        )
    return total


def wants_depth(step: int, target: Target, settings: TrainSettings, progress: float) -> bool:
    """Whether this step also compares depth, which costs half a rendering more."""
    if target.depth is None or step % settings.depth_every:
        return False
    return schedule.depth_weight(progress, settings) > 0.0


def _colour_loss(
    state: TrainState, device: Device, settings: TrainSettings, index: int,
    rendered: Rendered, wanted: Array, weight: Array | None, progress: float,
) -> tuple[float, Array]:  # fmt: skip
    """The loss of L1 and SSIM and its gradient by the rendered image, through the view's exposure if that is on."""
    image, table = rendered.image, state.exposure
    if table.active:
        exposures.update(table, index, device.fitted_gain(image, wanted), progress)
        image = device.scale_channels(image, table.gain(index))
    value, gradient = device.l1_ssim(image, wanted, settings.lambda_ssim, weight)
    if table.active:
        gradient = device.scale_channels(gradient, table.gain(index))
    return value.total, gradient


def _descend(state: TrainState, scratch: Scratch, settings: TrainSettings, progress: float) -> None:
    """Regularise, step along the gradients, decay, perturb."""
    device, planes, count = scratch.device, state.planes, state.count
    device.add_colour_gradient(scratch.grads, count, state.tallies[THIS_EPOCH])
    if settings.opacity_reg or settings.scale_reg:
        device.regularise(planes, scratch.grads, count, settings.opacity_reg, settings.scale_reg)
    rates = schedule.learning_rates(progress, settings, scratch.rate_scale)
    device.adam_step(
        planes, scratch.grads, state.m, state.v, count, rates, state.step + 1, settings.beta1, settings.beta2
    )
    if settings.sh_decay > 0 and (state.step + 1) % DECAY_EVERY == 0:
        rest = slice(layout.SH + 3, layout.ROWS)
        planes[rest, :count] *= float(1.0 - DECAY_EVERY * rates[rest.start] * settings.sh_decay)
    if settings.noise > 0 and progress < settings.cooldown_start:
        amount = settings.noise * schedule.means_rate(progress, settings, 1.0)
        device.add_noise(planes, count, amount, settings.seed, state.step)
    state.step += 1


def preference(
    score: npt.NDArray[np.float32], epochs: int, settings: TrainSettings
) -> tuple[npt.NDArray[np.float32] | None, npt.NDArray[np.bool_] | None]:
    """Where copies are wanted (count,) and which Gaussians no view uses (count,); (None, None) in the first epoch.

    Both from `score` (count,), the size of the colour gradients summed over the last whole epoch. Error-driven
    growth is an idea of "Revising Densification in Gaussian Splatting" (Rota Bulo et al., ECCV 2024).
    """
    mean = float(score.mean()) if epochs else 0.0
    if not mean > 0.0:
        return None, None
    weight = (score / np.float32(mean)) ** np.float32(settings.by_error)
    return weight, score < settings.useless * mean


def refine(state: TrainState, device: Device, plan: schedule.Plan, settings: TrainSettings, progress: float) -> None:
    """Relocate the dead and grow towards the count that the schedule wants."""
    if not device.all_finite(state.planes[:, : state.count]):
        raise StageFailed(f"A Gaussian stopped being a number before step {state.step}; train again with another seed.")
    if settings.max_elongation is not None:
        _shorten_needles(state, device, settings.max_elongation)
    if progress >= settings.refine_until:
        return
    if device.sorts_in_space and state.step % (SORT_EVERY * settings.refine_every) == 0:
        sort_in_space(state, device)
    weight, useless = _preference_of(state, device, settings)
    _carry_out(
        mcmc.relocation(_opacities(state, device), state.rng, settings.min_opacity, weight, useless), state, device
    )
    factor = plan.levels[plan.level_index(progress)].factor
    target = schedule.target_count(progress, plan.cap, plan.initial_count, factor, settings)
    target = min(target, state.planes.shape[1])
    if settings.growth_limit is not None:
        target = min(target, int(state.count * settings.growth_limit))
    if target <= state.count:
        return
    weight, _ = _preference_of(state, device, settings)
    moves = mcmc.growth(_opacities(state, device), target, state.rng, settings.min_opacity, weight)
    if moves is not None:
        _carry_out(moves, state, device)
        state.count = target


def _shorten_needles(state: TrainState, device: Device, limit: float) -> None:
    """No Gaussian is longer than `limit` times its middle axis; discs are left alone.

    Needles seen from their end fit single views and stick out of all others (Xie et al., PhysGaussian, CVPR 2024,
    regularise them away for the same reason).
    """
    rows = slice(layout.LOG_SCALE, layout.LOG_SCALE + 3)
    axes = device.get(state.planes[rows, : state.count])
    middle = np.sort(axes, axis=0)[1]
    limited = np.minimum(axes, middle + np.float32(np.log(limit)))
    if (limited < axes).any():
        state.planes[rows, : state.count] = device.put(limited)


def _opacities(state: TrainState, device: Device) -> npt.NDArray[np.float64]:
    return device.opacities(state.planes, state.count)


def _preference_of(
    state: TrainState, device: Device, settings: TrainSettings
) -> tuple[npt.NDArray[np.float32] | None, npt.NDArray[np.bool_] | None]:
    return preference(device.get(state.tallies[LAST_EPOCH, : state.count]), state.epochs, settings)


def _carry_out(moves: mcmc.Moves | None, state: TrainState, device: Device) -> None:
    if moves is not None:
        mcmc.place(moves, state.planes, state.moments, state.tallies, device.put)
