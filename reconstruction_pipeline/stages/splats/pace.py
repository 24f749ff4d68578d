"""How fast this machine trains, from a few steps before the run: what a budget in seconds is planned with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from reconstruction_pipeline.kernels import layout
from reconstruction_pipeline.stages.splats.devices.base import Device
from reconstruction_pipeline.stages.splats.initialisation import Points, initial_gaussians, merge_points
from reconstruction_pipeline.stages.splats.normalisation import Normalisation
from reconstruction_pipeline.stages.splats.optimise import Clock
from reconstruction_pipeline.stages.splats.settings import TrainSettings
from reconstruction_pipeline.stages.splats.state import new_state
from reconstruction_pipeline.stages.splats.steps import Scratch, gradient_step
from reconstruction_pipeline.stages.splats.targets import targets_at
from reconstruction_pipeline.stages.splats.views import LoadedView

STEPS = 8


class Pace(NamedTuple):
    """`ratio`: this machine's time for a step over the modelled one; `seconds`: what measuring it took."""

    ratio: float
    seconds: float


def measure_pace(
    points: Points,
    frame: Normalisation,
    views: Sequence[LoadedView],
    settings: TrainSettings,
    device: Device,
    clock: Clock,
) -> Pace:
    """Compile all kernels (not timed), then take a few steps on thrown-away Gaussians."""
    rng = np.random.default_rng([settings.seed, 2])
    few = merge_points(points, None, 20_000, rng)
    gaussians = initial_gaussians(few._replace(xyz=frame.points(few.xyz)), settings)
    state = new_state(gaussians, gaussians.count, len(views), settings.exposure != "off", settings.seed)
    state = state.on(device)
    scratch = Scratch(device, device.put(layout.aligned_zeros(state.planes.shape)), targets_at(views, 1, device))
    gradient_step(state, scratch, settings, 0.0)
    gradient_step(state, scratch, settings, 0.99, collect=True)
    started = clock()
    times = []
    for _ in range(STEPS):
        before = clock()
        gradient_step(state, scratch, settings, 0.5)
        times.append(clock() - before)
    camera = views[0].camera
    # The best of a few: what else runs for a moment says nothing about the minutes to come.
    modelled = device.step_cost_ms(gaussians.count, camera.width * camera.height)
    return Pace(min(times) * 1000.0 / modelled, clock() - started)
