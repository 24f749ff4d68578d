"""`reconstruct run --projection`: what a person says of a video reaches the keyframes, and is asked for once."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconstruction_pipeline.stages.keyframes import KeyframeSettings
from reconstruction_pipeline_tests.cli.conftest import Cli, asked_with
from reconstruction_pipeline_tests.orchestration.canned import CannedStages


@pytest.mark.usefixtures("storage", "ingested")
def test_what_is_said_of_a_video_reaches_the_stage(cli: Cli, stages: CannedStages, videos: list[Path]) -> None:
    said = ("run", videos[0], "--projection", "equirectangular")
    assert cli(*said).code == 0
    assert "already reconstructed" in cli(*said).err
    assert cli("run", videos[0]).code == 0
    asked = [settings.projection for settings in asked_with(stages, KeyframeSettings)]
    assert asked == ["equirectangular", "auto"], "another projection is another scene"
    assert cli("run", videos[0], "--projection", "round").code == 2
