"""Schedules: levels, growth under the cap, clocks and rates."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from reconstruction_pipeline.artifacts.errors import UsageError
from reconstruction_pipeline.kernels import layout
from reconstruction_pipeline.stages.splats import schedule
from reconstruction_pipeline.stages.splats.schedule import InitialPoints
from reconstruction_pipeline.stages.splats.settings import TrainSettings

STEPS = TrainSettings(steps=1000, seconds=None, max_splats=30_000)
SECONDS = TrainSettings(seconds=10.0)


def test_levels_cover_the_run_from_coarse_to_full():
    plan = schedule.plan(STEPS, 269, 480, InitialPoints(10_000))
    assert [level.factor for level in plan.levels] == [4, 2, 1]
    assert (plan.levels[-1].width, plan.levels[-1].height) == (269, 480)
    assert plan.levels[0].start == 0.0 and plan.levels[-1].end == 1.0
    for before, after in pairwise(plan.levels):
        assert before.end == after.start and before.clock_end < after.clock_end
    assert [plan.level_index(p) for p in (0.0, 0.9999, 1.0)] == [0, 2, 2]


def test_small_pictures_have_fewer_levels():
    assert len(schedule.plan(STEPS, 60, 64, InitialPoints(2000)).levels) == 1
    assert [level.factor for level in schedule.plan(STEPS, 200, 220, InitialPoints(2000)).levels] == [2, 1]


def test_a_budget_in_steps_is_exact_and_ignores_the_clock():
    plan = schedule.plan(STEPS, 269, 480, InitialPoints(10_000))
    assert plan.progress(500, 1e9) == 0.5
    assert plan.progress(999, 0.0) < 1.0 <= plan.progress(1000, 0.0)


def test_a_budget_in_seconds_is_used_exactly_whatever_the_speed():
    plan = schedule.plan(SECONDS, 269, 480, InitialPoints(10_000))
    progress = [plan.progress(0, t) for t in np.linspace(0, 10, 101)]
    assert progress[0] == 0.0 and progress[-1] == 1.0
    assert np.all(np.diff(progress) > 0)
    assert plan.progress(10**9, 9.99) < 1.0
    # Steps at a quarter of the size are cheap: their level must take less of the time than of the steps.
    assert plan.levels[0].clock_end < plan.levels[0].end
    assert plan.progress(0, 10 * plan.levels[0].clock_end) == pytest.approx(plan.levels[0].end)


def test_longer_budgets_and_faster_machines_get_more_splats():
    caps = [schedule.plan(replace(SECONDS, seconds=s), 269, 480, InitialPoints(10_000)).cap for s in (5, 10, 60, 300)]
    assert caps == sorted(caps) and caps[0] < caps[-1]
    assert 15_000 < caps[1] < 60_000
    slow = schedule.plan(SECONDS, 269, 480, InitialPoints(10_000), pace=3.0)
    large = schedule.plan(SECONDS, 807, 1440, InitialPoints(10_000))
    assert slow.cap < caps[1] and large.cap < caps[1]
    assert schedule.plan(replace(SECONDS, max_splats=7000), 269, 480, InitialPoints(10_000)).cap == 7000


def test_growth_is_monotonic_within_a_level_and_never_above_the_cap():
    for factor in (4, 2, 1):
        counts = [schedule.target_count(p, 30_000, 10_000, factor, STEPS) for p in np.linspace(0, 1, 50)]
        assert all(a <= b for a, b in pairwise(counts))
        assert counts[0] == 10_000 and max(counts) <= 30_000
    assert schedule.target_count(1.0, 30_000, 10_000, 1, STEPS) == 30_000
    assert schedule.target_count(1.0, 30_000, 10_000, 2, STEPS) == 15_000
    assert schedule.target_count(0.5, 5_000, 10_000, 1, STEPS) == 5_000


def test_rates_by_plane():
    start, end = (schedule.learning_rates(p, STEPS, 3.0) for p in (0.0, 1.0))
    assert start.shape == (layout.ROWS,) and np.all(end < start) and np.all(end > 0)
    assert start[layout.MEAN] == pytest.approx(STEPS.lr_means * 3.0)
    assert end[layout.MEAN] == pytest.approx(start[layout.MEAN] * STEPS.means_final, rel=1e-5)
    assert start[layout.SH] == pytest.approx(20 * start[layout.SH + 3])
    assert end[layout.OPACITY] == pytest.approx(start[layout.OPACITY] * STEPS.cooldown_final)


def test_few_steps_are_larger():
    scales = [schedule.rate_scale(steps, STEPS) for steps in (1, 800, 2400, 30_000, 10**9)]
    assert scales == sorted(scales, reverse=True) and scales[1] == pytest.approx(8.8)
    assert scales[0] <= 13.0 and scales[-1] >= 2.0
    assert schedule.rate_scale(800, replace(STEPS, lr_scale=2.0)) == 2.0


def test_sh_degree_grows_to_what_is_asked():
    assert [schedule.sh_degree(p, STEPS) for p in (0.0, 0.5, 1.0)] == [0, 3, 3]
    assert schedule.sh_degree(1.0, replace(STEPS, sh_degree=1)) == 1


def test_cost_model_follows_the_measurements_it_was_fitted_to():
    measured = {(20, 32): 6.8, (20, 129): 12.9, (50, 32): 14.4, (50, 129): 26.1, (100, 32): 26.1, (100, 129): 42.8}
    for (thousands, kilopixels), milliseconds in measured.items():
        assert schedule.step_cost_ms(thousands * 1e3, kilopixels * 1e3) == pytest.approx(milliseconds, rel=0.15)


@pytest.mark.parametrize(
    "wrong", [{"steps": 5}, {"seconds": None}, {"seconds": -1.0}, {"sh_degree": 4}, {"max_splats": 10}]
)
def test_settings_that_mean_nothing_are_refused(wrong):
    with pytest.raises(UsageError):
        TrainSettings(**wrong)


def test_dense_points_fill_their_share_of_the_cap_and_sparse_ones_all_stay():
    settings = replace(STEPS, dense_share=0.5)
    assert InitialPoints(4_000, 100_000).used(30_000, settings) == 15_000
    assert InitialPoints(4_000, 3_000).used(30_000, settings) == 7_000
    assert InitialPoints(20_000, 100_000).used(30_000, settings) == 20_000
    assert InitialPoints(50_000).used(30_000, settings) == 30_000
