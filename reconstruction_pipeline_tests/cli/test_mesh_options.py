"""`reconstruct run --crop`, `--without-table` and `--usdz`: they reach the mesh stage, and are asked for once."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest

from reconstruction_pipeline.orchestration import scene_run
from reconstruction_pipeline.orchestration.choices import MeshChoices
from reconstruction_pipeline.stages.mesh import MeshSettings
from reconstruction_pipeline_tests.cli.conftest import Cli, asked_with
from reconstruction_pipeline_tests.orchestration.canned import CannedStages

pytestmark = pytest.mark.usefixtures("storage", "ingested")


def test_an_object_without_its_table_is_asked_for_once(cli: Cli, stages: CannedStages, videos: list[Path]) -> None:
    object_only = ("run", videos[0], "--crop", "object", "--without-table", "--usdz")
    assert cli(*object_only).code == 0
    assert asked_with(stages, MeshSettings) == [MeshSettings(crop="object", without_table=True, usdz=True)]
    assert "already reconstructed" in cli(*object_only).err and len(asked_with(stages, MeshSettings)) == 1


def test_the_whole_scene_is_another_mesh() -> None:
    made_with = asdict(MeshSettings(crop="object", without_table=True))
    assert scene_run._meshed_alike(made_with, MeshChoices(crop="object", without_table=True))
    for other in (MeshChoices(), MeshChoices(crop="object"), MeshChoices(crop="object", without_table=True, usdz=True)):
        assert not scene_run._meshed_alike(made_with, other)
    assert scene_run._meshed_alike({}, MeshChoices()), "made before there was a choice"


def test_a_box_that_cannot_be_meant_is_refused_before_any_work(
    cli: Cli, stages: CannedStages, videos: list[Path]
) -> None:
    done = cli("run", videos[0], "--crop", "1,2,3")
    assert done.code == 2 and "six numbers" in done.error
    assert asked_with(stages, MeshSettings) == []
