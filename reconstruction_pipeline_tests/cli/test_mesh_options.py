"""`reconstruct run --crop`, `--without-table` and `--usdz`: they reach the mesh stage, and are asked for once."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest

from reconstruction_pipeline.artifacts.progress import Progress
from reconstruction_pipeline.orchestration import pipeline, scene_run
from reconstruction_pipeline.orchestration.choices import MeshChoices
from reconstruction_pipeline.orchestration.stage_process import StageCall, StageOutcome
from reconstruction_pipeline.stages.mesh import MeshSettings
from reconstruction_pipeline_tests.cli.conftest import Cli
from reconstruction_pipeline_tests.orchestration.canned import CannedStages
from reconstruction_pipeline_tests.report.scenes import HASH

pytestmark = pytest.mark.usefixtures("storage")


@pytest.fixture
def asked(stages: CannedStages, monkeypatch: pytest.MonkeyPatch) -> list[MeshSettings]:
    """The settings of each call of the mesh stage, in order."""
    found: list[MeshSettings] = []

    def listen(call: StageCall, progress: Progress) -> StageOutcome:
        found.extend(argument for argument in call.args if isinstance(argument, MeshSettings))
        return stages(call, progress)

    monkeypatch.setattr(pipeline, "run_stage_process", listen)
    monkeypatch.setattr(scene_run, "content_sha256", lambda path: HASH)  # what the canned `ingest` reports
    return found


def test_an_object_without_its_table_is_asked_for_once(cli: Cli, asked: list[MeshSettings], videos: list[Path]) -> None:
    object_only = ("run", videos[0], "--crop", "object", "--without-table", "--usdz")
    assert cli(*object_only).code == 0
    assert asked == [MeshSettings(crop="object", without_table=True, usdz=True)]
    assert "already reconstructed" in cli(*object_only).err and len(asked) == 1


def test_the_whole_scene_is_another_mesh() -> None:
    made_with = asdict(MeshSettings(crop="object", without_table=True))
    assert scene_run._meshed_alike(made_with, MeshChoices(crop="object", without_table=True))
    for other in (MeshChoices(), MeshChoices(crop="object"), MeshChoices(crop="object", without_table=True, usdz=True)):
        assert not scene_run._meshed_alike(made_with, other)
    assert scene_run._meshed_alike({}, MeshChoices()), "made before there was a choice"


def test_a_box_that_cannot_be_meant_is_refused_before_any_work(
    cli: Cli, asked: list[MeshSettings], videos: list[Path]
) -> None:
    done = cli("run", videos[0], "--crop", "1,2,3")
    assert done.code == 2 and "six numbers" in done.error
    assert asked == []
