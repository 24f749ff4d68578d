"""`reconstruct run --projection`: what a person says of a video reaches the keyframes, and is asked for once."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconstruction_pipeline.orchestration import scene_run
from reconstruction_pipeline.stages.keyframes import KeyframeSettings
from reconstruction_pipeline_tests.cli.conftest import Cli
from reconstruction_pipeline_tests.orchestration.canned import CannedStages
from reconstruction_pipeline_tests.report.scenes import HASH


@pytest.mark.usefixtures("storage")
def test_what_is_said_of_a_video_reaches_the_stage(
    cli: Cli, stages: CannedStages, videos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scene_run, "content_sha256", lambda path: HASH)  # what the canned `ingest` reports
    said = ("run", videos[0], "--projection", "equirectangular")
    assert cli(*said).code == 0
    assert "already reconstructed" in cli(*said).err
    assert cli("run", videos[0]).code == 0
    asked = [a.projection for call in stages.full_calls for a in call.args if isinstance(a, KeyframeSettings)]
    assert asked == ["equirectangular", "auto"], "another projection is another scene"
    assert cli("run", videos[0], "--projection", "round").code == 2
