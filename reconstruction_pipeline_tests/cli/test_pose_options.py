"""`reconstruct run` with what a person knows of the capture: it reaches the poses stage, and is asked for once."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconstruction_pipeline.artifacts.progress import Progress
from reconstruction_pipeline.orchestration import pipeline, scene_run
from reconstruction_pipeline.orchestration.stage_process import StageCall, StageOutcome
from reconstruction_pipeline.stages.poses import PoseSettings
from reconstruction_pipeline_tests.cli.conftest import Cli
from reconstruction_pipeline_tests.orchestration.canned import CannedStages
from reconstruction_pipeline_tests.report.scenes import HASH

pytestmark = pytest.mark.usefixtures("storage")


@pytest.fixture
def asked(stages: CannedStages, monkeypatch: pytest.MonkeyPatch) -> list[PoseSettings]:
    """The settings of each call of the poses stage, in order."""
    found: list[PoseSettings] = []

    def listen(call: StageCall, progress: Progress) -> StageOutcome:
        found.extend(argument for argument in call.args if isinstance(argument, PoseSettings))
        return stages(call, progress)

    monkeypatch.setattr(pipeline, "run_stage_process", listen)
    monkeypatch.setattr(scene_run, "content_sha256", lambda path: HASH)  # what the canned `ingest` reports
    return found


def test_what_is_known_of_the_capture_reaches_the_stage(
    cli: Cli, asked: list[PoseSettings], videos: list[Path]
) -> None:
    metres = ("run", videos[0], "--known-distance", "0s", "12.5s", "3.2", "--no-gps", "--given-poses", "ignore")
    assert cli(*metres).code == 0
    (settings,) = asked
    assert settings == PoseSettings(known_distance=("0s", "12.5s", 3.2), use_gps=False, given_poses="ignore")
    assert "already reconstructed" in cli(*metres).err and len(asked) == 1
    assert cli("run", videos[0], "--camera-height", "1.6").code == 0
    assert asked[1:] == [PoseSettings(camera_height_m=1.6)], "another scale is another scene"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--camera-height", "1.6", "--path-length", "3"], "not several"),
        (["--known-distance", "0s", "4s", "0"], "positive"),
        (["--known-distance", "0s", "4s"], "known-distance"),
        (["--known-distance", "0s", "4s", "far"], "known-distance"),
        (["--camera-height", "-2"], "camera-height"),
        (["--given-poses", "maybe"], "given-poses"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_any_work(
    cli: Cli, asked: list[PoseSettings], videos: list[Path], options: list[str], says: str
) -> None:
    done = cli("run", videos[0], *options)
    assert done.code == 2 and says in done.error.replace("_", "-")
    assert asked == []


def test_the_help_teaches_places(cli: Cli) -> None:
    told = cli("run", "--help").out
    assert "What you know of the capture" in told and "--known-distance 0s 12.5s 3.2" in told
