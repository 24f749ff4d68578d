"""What happens when: resolution levels, the number of Gaussians, learning rates, SH degree.

Everything is a function of `progress` in 0..1, which counts steps. A budget in seconds is turned
into progress level by level, by the share of the time that the level's steps are expected to cost;
the clock then drives progress, so that the whole schedule always fits the budget.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.kernels import layout
from reconstruction_pipeline.stages.splats.settings import TrainSettings

REFERENCE_STEPS, REFERENCE_CAP, CAP_EXPONENT = 1400.0, 30_000.0, 1.1
"""A model of `cap` Gaussians wants about 1400 (cap / 30k)^1.1 steps: fewer Gaussians for short budgets."""

MIN_CAP = 12_000
"""Fewer than this are never planned, however short the budget."""


@dataclass(frozen=True)
class InitialPoints:
    """How many sparse and dense points there are to start from."""

    sparse: int
    dense: int = 0

    def used(self, cap: int, settings: TrainSettings) -> int:
        """How many Gaussians a run with that cap starts with: all sparse points, dense ones up to their share."""
        room = max(0, int(settings.dense_share * cap) - self.sparse)
        return min(cap, self.sparse + min(self.dense, room))


@dataclass(frozen=True)
class Level:
    """One resolution: pictures shrunk by `factor` to `width` x `height`, from `start` to `end` of progress."""

    factor: int
    width: int
    height: int
    start: float
    end: float
    clock_end: float
    """Share of a budget in seconds that is used up when the level ends."""


@dataclass(frozen=True)
class Plan:
    """A schedule for one run: `steps` is exact for a budget in steps and an estimate for one in seconds."""

    levels: tuple[Level, ...]
    cap: int
    steps: int
    seconds: float | None
    initial_count: int

    def progress(self, step: int, elapsed: float) -> float:
        """Progress in 0..1 after `step` steps and `elapsed` seconds of training."""
        if self.seconds is None:
            return min(1.0, step / self.steps)
        clock = min(1.0, elapsed / self.seconds)
        clock_start = 0.0
        for level in self.levels:
            if clock < level.clock_end or level is self.levels[-1]:
                share = (clock - clock_start) / max(level.clock_end - clock_start, 1e-9)
                return level.start + (level.end - level.start) * min(1.0, share)
            clock_start = level.clock_end
        return 1.0

    def level_index(self, progress: float) -> int:
        """Index of the resolution level at that progress."""
        for index, level in enumerate(self.levels):
            if progress < level.end:
                return index
        return len(self.levels) - 1


def step_cost_ms(count: float, pixels: float) -> float:
    """Milliseconds of one training step on two AVX-512 cores, fitted to measurements of 20k-100k at 32k-129k px.

    Only ratios matter here: `pace` (measured over modelled) turns it into this machine's time.
    """
    thousands, kilopixels = count / 1e3, pixels / 1e3
    return float(0.3 + 0.21 * thousands + 0.0097 * thousands**0.63 * kilopixels)


StepCost = Callable[[float, float], float]
"""Milliseconds of a step with that many Gaussians on that many pixels, on some machine of a kind."""


def cuda_step_cost_ms(count: float, pixels: float) -> float:
    """As `step_cost_ms`, on a GPU: mostly launching kernels while the scene is small.

    Fitted to no measurement of ours: 3 ms to launch a step, and gsplat's published 31 ms a step for a million
    Gaussians on a megapixel (15.4 minutes for 30 000 steps).
    """
    return float(3.0 + 0.020 * count / 1e3 + 0.008 * pixels / 1e3)


def level_shapes(width: int, height: int, settings: TrainSettings) -> list[tuple[int, int, int]]:
    """(factor, width, height) of each level, coarsest first; small pictures have fewer levels."""
    factors = [2**k for k in range(len(settings.level_steps))][::-1]
    longest = max(width, height)
    kept = [f for f in factors if f == 1 or longest / f >= settings.min_level_size]
    return [(f, max(1, round(width / f)), max(1, round(height / f))) for f in kept]


def _shares(shapes: list[tuple[int, int, int]], settings: TrainSettings) -> npt.NDArray[np.float64]:
    shares = np.asarray(settings.level_steps[-len(shapes) :], float)
    return np.asarray(shares / shares.sum())


def mean_step_cost_ms(
    cap: int, initial: int, shapes: list[tuple[int, int, int]], settings: TrainSettings, cost: StepCost = step_cost_ms
) -> float:
    """Mean cost of a step over a whole run with that cap (see `step_cost_ms`)."""
    return float(_level_costs(cap, initial, shapes, settings, cost).sum())


def _level_costs(
    cap: int, initial: int, shapes: list[tuple[int, int, int]], settings: TrainSettings, cost: StepCost
) -> npt.NDArray[np.float64]:
    """Cost of each level's share of the steps, in milliseconds per step of the whole run."""
    costs, start = [], 0.0
    for (factor, width, height), share in zip(shapes, _shares(shapes, settings), strict=True):
        samples = [target_count(start + share * x, cap, initial, factor, settings) for x in (0.1, 0.3, 0.5, 0.7, 0.9)]
        costs.append(share * np.mean([cost(n, width * height) for n in samples]))
        start += share
    return np.asarray(costs)


def target_count(progress: float, cap: int, initial: int, factor: int, settings: TrainSettings) -> int:
    """How many Gaussians there should be: exponential growth to the cap, half of it at half resolution."""
    span = max(settings.grow_until - settings.grow_start, 1e-9)
    x = min(1.0, max(0.0, (progress - settings.grow_start) / span))
    start = min(initial, cap)
    wanted = start * (cap / start) ** x if start > 0 else 0.0
    return int(min(cap, max(start, min(wanted, cap / factor))))


def plan(
    settings: TrainSettings,
    width: int,
    height: int,
    points: InitialPoints,
    pace: float = 1.0,
    cost: StepCost = step_cost_ms,
) -> Plan:
    """The schedule for pictures of that size; `pace` is this machine's time over the one modelled by `cost`."""
    shapes = level_shapes(width, height, settings)
    if settings.steps is not None:
        steps = settings.steps
        cap = settings.max_splats or _cap_for_steps(steps)
    else:
        assert settings.seconds is not None
        cap = settings.max_splats or _cap_for_seconds(settings.seconds, points, shapes, pace, settings, cost)
        mean = mean_step_cost_ms(cap, points.used(cap, settings), shapes, settings, cost) * pace
        steps = max(1, round(settings.seconds * 1000.0 / mean))
    initial = points.used(cap, settings)
    costs = _level_costs(cap, initial, shapes, settings, cost)
    clock = np.cumsum(costs) / costs.sum()
    ends = np.cumsum(_shares(shapes, settings))
    starts = np.concatenate([[0.0], ends[:-1]])
    ends[-1] = clock[-1] = 1.0
    levels = tuple(
        Level(f, w, h, float(s), float(e), float(c))
        for (f, w, h), s, e, c in zip(shapes, starts, ends, clock, strict=True)
    )
    return Plan(levels, cap, steps, settings.seconds, initial)


def _cap_for_steps(steps: float) -> int:
    return int(np.clip(REFERENCE_CAP * (steps / REFERENCE_STEPS) ** (1.0 / CAP_EXPONENT), MIN_CAP, 1_000_000))


def _cap_for_seconds(
    seconds: float,
    points: InitialPoints,
    shapes: list[tuple[int, int, int]],
    pace: float,
    settings: TrainSettings,
    cost: StepCost,
) -> int:
    """The largest cap whose wanted number of steps still fits the budget."""
    low, high = MIN_CAP, 1_000_000
    while high - low > 100:
        cap = (low + high) // 2
        mean = mean_step_cost_ms(cap, points.used(cap, settings), shapes, settings, cost) * pace
        if seconds * 1000.0 / mean >= REFERENCE_STEPS * (cap / REFERENCE_CAP) ** CAP_EXPONENT:
            low = cap
        else:
            high = cap
    return low


def sh_degree(progress: float, settings: TrainSettings) -> int:
    """Highest SH degree in use."""
    return min(settings.sh_degree, sum(progress >= start for start in settings.sh_start))


def depth_weight(progress: float, settings: TrainSettings) -> float:
    """Weight of the depth loss, for the steps that have one."""
    return float(settings.depth_weight * settings.depth_weight_final**progress)


def cooldown(progress: float, settings: TrainSettings) -> float:
    """Factor on all rates but the means': one, then a cosine down to `cooldown_final`."""
    if progress <= settings.cooldown_start:
        return 1.0
    x = min(1.0, (progress - settings.cooldown_start) / max(1.0 - settings.cooldown_start, 1e-9))
    return float(settings.cooldown_final + (1.0 - settings.cooldown_final) * 0.5 * (1.0 + np.cos(np.pi * x)))


def rate_scale(steps: int, settings: TrainSettings) -> float:
    """Factor on all learning rates for a run of that many steps; a fit to runs of 600 to 3500."""
    if settings.lr_scale is not None:
        return settings.lr_scale
    return float(np.clip(8.8 * (800.0 / max(steps, 1)) ** 0.26, 2.0, 13.0))


def means_rate(progress: float, settings: TrainSettings, scale: float) -> float:
    """Learning rate of the means, in normalised lengths; `scale` is the run's `rate_scale`."""
    return float(settings.lr_means * scale * settings.means_final**progress)


def learning_rates(progress: float, settings: TrainSettings, scale: float) -> npt.NDArray[np.float32]:
    """Learning rate of each of the 59 parameter planes; `scale` is the run's `rate_scale`."""
    rates = np.empty(layout.ROWS, np.float32)
    factor = scale * cooldown(progress, settings)
    rates[layout.MEAN : layout.LOG_SCALE] = means_rate(progress, settings, scale)
    rates[layout.LOG_SCALE : layout.QUAT] = settings.lr_log_scales * factor
    rates[layout.QUAT : layout.OPACITY] = settings.lr_quats * factor
    rates[layout.OPACITY] = settings.lr_opacity * factor
    rates[layout.SH : layout.SH + 3] = settings.lr_sh0 * factor
    rates[layout.SH + 3 :] = settings.lr_sh_rest * factor
    return rates
