"""`reconstruct run` with what a person knows of the capture: it reaches the poses stage, and is asked for once."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconstruction_pipeline.stages.poses import PoseSettings
from reconstruction_pipeline_tests.cli.conftest import Cli, asked_with
from reconstruction_pipeline_tests.orchestration.canned import CannedStages

pytestmark = pytest.mark.usefixtures("storage", "ingested")


def test_what_is_known_of_the_capture_reaches_the_stage(cli: Cli, stages: CannedStages, videos: list[Path]) -> None:
    metres = ("run", videos[0], "--known-distance", "0s", "12.5s", "3.2", "--no-gps", "--given-poses", "ignore")
    assert cli(*metres).code == 0
    (settings,) = asked_with(stages, PoseSettings)
    assert settings == PoseSettings(known_distance=("0s", "12.5s", 3.2), use_gps=False, given_poses="ignore")
    assert "already reconstructed" in cli(*metres).err and len(asked_with(stages, PoseSettings)) == 1
    assert cli("run", videos[0], "--camera-height", "1.6").code == 0
    assert asked_with(stages, PoseSettings)[1:] == [PoseSettings(camera_height_m=1.6)], "another scale is another scene"


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
    cli: Cli, stages: CannedStages, videos: list[Path], options: list[str], says: str
) -> None:
    done = cli("run", videos[0], *options)
    assert done.code == 2 and says in done.error.replace("_", "-")
    assert asked_with(stages, PoseSettings) == []


def test_the_help_teaches_places(cli: Cli) -> None:
    told = cli("run", "--help").out
    assert "What you know of the capture" in told and "--known-distance 0s 12.5s 3.2" in told
