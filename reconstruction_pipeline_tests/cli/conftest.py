from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest

from reconstruction_pipeline.cli.main import main
from reconstruction_pipeline.orchestration import scene_run
from reconstruction_pipeline_tests.orchestration.canned import CannedStages
from reconstruction_pipeline_tests.orchestration.conftest import (  # noqa: F401
    instances_need_not_survive_a_power_cut,
    stages,
    storage,
)
from reconstruction_pipeline_tests.report.scenes import HASH
from reconstruction_pipeline_tests.stages.captures import sliding_frames, write_video

Settings = TypeVar("Settings")


@dataclass(frozen=True)
class Done:
    """How a command ended and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The last line on standard error, which must be the one sentence about what is wrong."""
        line = self.err.rstrip().splitlines()[-1]
        assert line.startswith("error: ")
        assert "Traceback" not in self.err
        return line


Cli = Callable[..., Done]


def asked_with(called: CannedStages, kind: type[Settings]) -> list[Settings]:
    """The settings of this kind that stages were called with, in order."""
    return [argument for call in called.full_calls for argument in call.args if isinstance(argument, kind)]


@pytest.fixture
def ingested(monkeypatch: pytest.MonkeyPatch) -> None:
    """A capture's content is what the canned `ingest` reports, so that the same one is known again."""
    monkeypatch.setattr(scene_run, "content_sha256", lambda path: HASH)


@pytest.fixture
def cli(capfd: pytest.CaptureFixture[str]) -> Cli:
    """Runs a command in this process, as the entry point does."""

    def run(*arguments: object) -> Done:
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        captured = capfd.readouterr()
        assert isinstance(ended.value.code, int)
        return Done(ended.value.code, captured.out, captured.err)

    return run


@pytest.fixture(scope="session")
def videos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two captures of one name and different content, in two folders."""
    root = tmp_path_factory.mktemp("videos")
    made = []
    for seed in range(2):
        (root / str(seed)).mkdir()
        made.append(write_video(root / str(seed) / "Walk 1.mp4", sliding_frames(20, 96, 64, seed=seed)))
    return made
