"""A run that would not fit is made smaller before it starts; one that runs out of memory goes on with fewer Gaussians.

What was lowered is never silent: `cap_lowered_from` in the metrics, and a gate that warns.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence

import numpy as np

from reconstruction_pipeline.artifacts.errors import MissingRequirement, StageFailed
from reconstruction_pipeline.kernels import layout
from reconstruction_pipeline.stages.splats import mcmc
from reconstruction_pipeline.stages.splats.devices.base import Device
from reconstruction_pipeline.stages.splats.devices.memory import SHARE, SHRINK, SMALLEST_CAP, fitting_cap
from reconstruction_pipeline.stages.splats.state import CONTRIBUTION, LAST_EPOCH, TALLIES, TrainState
from reconstruction_pipeline.stages.splats.views import LoadedView

GIB = 2**30


def require_fit(device: Device, cap: int, views: Sequence[LoadedView]) -> int:
    """The largest cap up to `cap` that fits into the device's memory with targets for `views`.

    Raises MissingRequirement, with the figures, where none does.
    """
    camera, count = views[0].camera, len(views)
    pixels, target_bytes = camera.width * camera.height, max(_target_bytes(view) for view in views)

    def estimate(splats: int) -> int:
        return device.memory_estimate(splats, pixels, count, target_bytes)

    available = device.memory_available()
    fit = fitting_cap(estimate, cap, available)
    if fit is None:
        needed, free = estimate(min(SMALLEST_CAP, cap)) / SHARE / GIB, (available or 0) / GIB
        raise MissingRequirement(
            f"Training on {count} pictures of {camera.width}x{camera.height} needs {needed:.1f} GiB of memory of the "
            f"{device.name} even with few splats, and {free:.1f} GiB are free; use --max-size or fewer pictures."
        )
    return fit.cap


def _target_bytes(view: LoadedView) -> float:
    """Bytes a pixel that this view's target holds (see `targets.Target`)."""
    return 3.0 + 4.0 * (view.mask is not None) + (view.alpha is not None) + 4.0 * (view.depth is not None)


def shrunk(state: TrainState, cap: int) -> TrainState:
    """A state (arrays in numpy) with room for `cap` Gaussians; the least contributing go if there are more.

    Contribution is the blend weight where it was collected, else the colour gradients of the last whole epoch,
    else opacity. What is kept stays in its order, with its moments.
    """
    count = min(state.count, cap)
    score = mcmc.opacities(state.planes[layout.OPACITY, : state.count])
    if state.contribution_views:
        score = state.tallies[CONTRIBUTION, : state.count]
    elif state.epochs:
        score = state.tallies[LAST_EPOCH, : state.count]
    keep = np.sort(np.argsort(-score, kind="stable")[:count])
    planes = layout.empty_planes(cap)
    m, v = layout.aligned_zeros(planes.shape), layout.aligned_zeros(planes.shape)
    tallies = np.zeros((TALLIES, planes.shape[1]), np.float32)
    pairs = ((planes, state.planes), (m, state.m), (v, state.v), (tallies, state.tallies))
    for small, large in pairs:
        small[:, :count] = large[:, keep]
    state.planes, state.m, state.v, state.tallies, state.count = planes, m, v, tallies, count
    return state


def train_within_memory(
    state: TrainState, cap: int, device: Device, train: Callable[[TrainState, int], None]
) -> tuple[TrainState, int]:
    """Call `train` (state on the device, cap) until it ends; return the state in numpy and the cap it ended with.

    Where memory runs out, training goes on from the last whole step with SHRINK times the cap. Raises
    StageFailed when that would leave fewer than SMALLEST_CAP.
    """
    while True:
        state, finished = _attempt(state, cap, device, train)
        # The last step's tensors are gone with the frames that held them; now what the device itself keeps.
        gc.collect()
        device.release()
        if finished:
            return state, cap
        smaller = int(SHRINK * cap)
        if smaller < SMALLEST_CAP:
            raise StageFailed(
                f"Memory of the {device.name} ran out even with {cap} splats; use --max-size or fewer pictures."
            )
        cap = smaller
        state = shrunk(state, cap)


def _attempt(
    state: TrainState, cap: int, device: Device, train: Callable[[TrainState, int], None]
) -> tuple[TrainState, bool]:
    """The state in numpy after training, and whether it came to its end or memory ran out."""
    trained: TrainState | None = None
    try:
        trained = state.on(device)
        train(trained, cap)
    except device.out_of_memory:
        return (state if trained is None else trained.off(device)), False
    return trained.off(device), True
