"""Estimates of memory and the caps that follow from them; the recipe that CUDA brings with it."""

from dataclasses import replace

import pytest

from reconstruction_pipeline.presets import CUDA_TRAINING, PRESETS, preset_named
from reconstruction_pipeline.stages.splats import schedule
from reconstruction_pipeline.stages.splats.devices import memory
from reconstruction_pipeline.stages.splats.recipes import CUDA_RECIPE, cuda_cap, resolved, with_cuda
from reconstruction_pipeline.stages.splats.settings import TrainSettings

MEGAPIXEL = 1_000_000


def test_a_million_gaussians_take_about_what_the_field_measures():
    # gsplat's documentation has 1.98 GB for its MCMC preset of a million on pictures of about a megapixel.
    assert 1.98e9 < memory.gpu_bytes(1_000_000, MEGAPIXEL, 0) < 1.5 * 1.98e9
    pictures = memory.gpu_bytes(1_000_000, MEGAPIXEL, 300) - memory.gpu_bytes(1_000_000, MEGAPIXEL, 0)
    assert pictures == 300 * 3 * MEGAPIXEL
    assert memory.gpu_bytes(1_000_000, MEGAPIXEL, 300, 12.0) > memory.gpu_bytes(1_000_000, MEGAPIXEL, 300)


@pytest.mark.parametrize("estimate", [memory.gpu_bytes, memory.cpu_bytes])
def test_the_largest_cap_that_fits_is_found(estimate):
    def of(cap):
        return estimate(cap, MEGAPIXEL, 100)

    enough = int(of(700_000) / memory.SHARE) + 1
    fit = memory.fitting_cap(of, 1_000_000, enough)
    assert fit.lowered_from == 1_000_000 and fit.cap == pytest.approx(700_000, abs=2)
    assert of(fit.cap) <= memory.SHARE * enough < of(fit.cap + 1)
    assert memory.fitting_cap(of, 700_000, enough) == (700_000, None)
    assert memory.fitting_cap(of, 1_000_000, None) == (1_000_000, None)
    assert memory.fitting_cap(of, 1_000_000, 1_000_000) is None
    assert memory.fitting_cap(of, 2_000, int(of(2_000) / memory.SHARE) + 1) == (2_000, None)


def test_the_hosts_memory_is_a_sensible_number():
    available = memory.host_available()
    assert available is None or 10e6 < available < 1e14


def test_the_recipe_holds_on_cuda_only():
    settings = replace(TrainSettings(seconds=25, holdout=8), on_cuda={"steps": 7_000, "seconds": None})
    assert resolved(settings, "cpu") == replace(settings, on_cuda={})
    on_cuda = resolved(settings, "cuda")
    assert (on_cuda.steps, on_cuda.seconds, on_cuda.holdout, on_cuda.on_cuda) == (7_000, None, 8, {})


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("device", ["auto", "cuda", "cpu"])
def test_presets_know_their_budget_on_both_devices(name, device):
    training = preset_named(name, device).gaussian_splats
    assert training.device == device and training.seconds == PRESETS[name].gaussian_splats.seconds
    on_cuda = resolved(training, "cuda")
    for key, value in {**CUDA_RECIPE, **CUDA_TRAINING[name]}.items():
        assert getattr(on_cuda, key) == value, key
    assert on_cuda.seconds is None and on_cuda.holdout == training.holdout


def test_what_is_changed_after_the_recipe_was_added_holds_on_cuda_too():
    assert resolved(replace(with_cuda(TrainSettings()), seed=5), "cuda").seed == 5


def test_budgets_of_the_command_line():
    default = resolved(with_cuda(TrainSettings(seconds=60.0)), "cuda")
    assert (default.steps, default.seconds, default.max_splats) == (30_000, None, 1_000_000)
    steps = resolved(with_cuda(TrainSettings(steps=7_000, seconds=None), budget=True), "cuda")
    assert steps.steps == 7_000 and steps.max_splats == pytest.approx(300_000, rel=0.01)
    seconds = resolved(with_cuda(TrainSettings(seconds=60.0), budget=True), "cuda")
    assert (seconds.steps, seconds.seconds, seconds.max_splats) == (None, 60.0, None)
    capped = resolved(with_cuda(TrainSettings(max_splats=5_000)), "cuda")
    assert capped.max_splats == 5_000 and cuda_cap(100) == 10_000 and cuda_cap(10**6) == 1_000_000


def test_the_recipe_is_the_published_schedule():
    settings = resolved(with_cuda(TrainSettings()), "cuda")
    points = schedule.InitialPoints(50_000)
    plan = schedule.plan(settings, 1600, 1067, points)
    assert plan.cap == 1_000_000 and plan.steps == 30_000 and len(plan.levels) == 1
    assert [schedule.sh_degree(step / 30_000, settings) for step in (999, 1001, 2001, 3001)] == [0, 1, 2, 3]
    assert schedule.rate_scale(30_000, settings) == 1.0
    first, last = (schedule.learning_rates(progress, settings, 1.0) for progress in (0.0, 1.0))
    assert last[0] == pytest.approx(0.01 * first[0]) and (first[3:] == last[3:]).all()
    assert first[0] == pytest.approx(1.6e-4) and first[10] == pytest.approx(5e-2)
    # Growth: nothing before step 500, then 5 % every hundred steps until the cap.
    assert schedule.target_count(400 / 30_000, plan.cap, 50_000, 1, settings) == 50_000
    count, step = 50_000, 500
    while count < plan.cap:
        step += 100
        count = min(schedule.target_count(step / 30_000, plan.cap, 50_000, 1, settings), int(1.05 * count))
    assert 6_000 < step < 7_500 and step / 30_000 < settings.refine_until


def test_a_budget_in_seconds_plans_more_gaussians_for_a_gpu_of_the_same_pace():
    settings = resolved(with_cuda(TrainSettings(seconds=60.0), budget=True), "cuda")
    points = schedule.InitialPoints(10_000)
    kinds = (schedule.step_cost_ms, schedule.cuda_step_cost_ms)
    on_cpu, on_gpu = (schedule.plan(settings, 269, 480, points, 1.0, kind) for kind in kinds)
    assert on_gpu.cap > 2 * on_cpu.cap
    slower = schedule.plan(settings, 269, 480, points, 3.0, schedule.cuda_step_cost_ms)
    assert slower.cap < on_gpu.cap and slower.steps < on_gpu.steps
