"""What the launchpad offers, and what it does to a stage's settings; wall-time limits."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from reconstruction_pipeline.definitions import defs
from reconstruction_pipeline.orchestration.choices import Choices, TrainingChoices
from reconstruction_pipeline.orchestration.limits import MAX_FACTOR, MAX_SECONDS, MINUTES, limit_seconds
from reconstruction_pipeline.orchestration.names import JOB, STAGES
from reconstruction_pipeline.presets import PRESETS, preset_named
from reconstruction_pipeline.stages.splats.recipes import resolved
from reconstruction_pipeline_tests.orchestration.canned import Line


def test_nothing_chosen_is_the_preset() -> None:
    for name in PRESETS:
        assert Choices().applied(preset_named(name)) == preset_named(name)


def test_choices_replace_single_settings() -> None:
    chosen = Choices(keyframes={"count": 20}, mesh={"resolution": 64})  # type: ignore[arg-type]
    row = chosen.applied(preset_named("balanced"))
    assert (row.keyframes.count, row.keyframes.max_size) == (20, 1024)
    assert (row.mesh.resolution, row.mesh.render_side) == (64, 640)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_one_budget_drives_out_the_other_on_every_device(device: str) -> None:
    row = preset_named("balanced", device)
    steps = Choices(gaussian_splats=TrainingChoices(steps=500)).applied(row).gaussian_splats
    assert (resolved(steps, device).steps, resolved(steps, device).seconds) == (500, None)
    seconds = Choices(gaussian_splats=TrainingChoices(seconds=30)).applied(row).gaussian_splats
    assert (resolved(seconds, device).steps, resolved(seconds, device).seconds) == (None, 30)


@pytest.mark.parametrize("wrong", [{"count": 1}, {"count": 10**6}, {"max_size": 5}])
def test_bounds_are_kept(wrong: dict[str, int]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        Choices(keyframes=wrong)  # type: ignore[arg-type]


def test_a_chosen_setting_reaches_its_stage_and_the_manifest(line: Line) -> None:
    assert line.run("source_video", "keyframes", stages={"keyframes": {"count": 33}}).success
    settings = line.stages.full_calls[-1].args[1]
    assert settings.count == 33
    from reconstruction_pipeline.orchestration.io_manager import open_store

    assert open_store().manifest("keyframes", line.key).provenance.settings["count"] == 33


def test_two_budgets_are_refused_once_and_not_tried_again(line: Line) -> None:
    result = line.run(stages={"gaussian_splats": {"steps": 500, "seconds": 30}})
    assert not result.success
    assert "run_stage" not in line.stages.calls
    (failure,) = (event.step_failure_data for event in result.all_events if event.is_step_failure)
    assert failure.user_failure_data and "not both" in (failure.user_failure_data.description or "")


def test_every_field_of_the_launchpad_is_described() -> None:
    job = defs.get_repository_def().get_job(JOB)
    fields = job.run_config_schema.config_type.fields["resources"].config_type.fields["pipeline"]  # type: ignore[attr-defined]
    undescribed: list[str] = []

    def look(path: str, field: object) -> None:
        kind = field.config_type  # type: ignore[attr-defined]
        if not hasattr(kind, "fields"):
            if not field.description:  # type: ignore[attr-defined]
                undescribed.append(path)
            return
        for name, inner in kind.fields.items():
            look(f"{path}.{name}", inner)

    look("pipeline", fields.config_type.fields["config"])
    assert undescribed == []


def test_every_stage_has_a_limit_far_above_its_need() -> None:
    assert set(MINUTES) == set(STAGES)
    for row in PRESETS.values():
        for stage in STAGES:
            assert limit_seconds(stage, row) >= 20 * 60
            assert limit_seconds(stage, row, MAX_FACTOR) <= MAX_SECONDS
        assert limit_seconds("gaussian_splats", row) > 3 * (row.gaussian_splats.seconds or 0)


def test_a_stage_is_given_its_limit(line: Line) -> None:
    line.run("source_video", time_limit_factor=0.5)
    assert line.stages.full_calls[-1].limit_s == 30 * 60
