"""Choosing external programs on the command line, and what `doctor` says of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconstruction_pipeline.external.loading import HERE
from reconstruction_pipeline_tests.cli.conftest import Cli
from reconstruction_pipeline_tests.orchestration.canned import CannedStages


@pytest.mark.soak
def test_a_chosen_program_is_announced_and_handed_on(
    cli: Cli, videos: list[Path], storage: Path, stages: CannedStages
) -> None:
    chosen = cli("run", videos[0], "--preset", "fastest", "--external", "training=reconstruct-train")
    assert chosen.code == 0, chosen.err
    assert "gaussian_splats: by reconstruct-train (Apache-2.0)" in chosen.err
    (call,) = [c for c in stages.full_calls if c.entry.endswith(":gaussian_splats") and "external" in c.options]
    assert call.options["external"].program.name == "reconstruct-train"


def test_what_cannot_be_chosen_is_said_before_anything_runs(
    cli: Cli, videos: list[Path], storage: Path, stages: CannedStages, tmp_path: Path
) -> None:
    refused = cli("run", videos[0], "--external", "training=graphdeco-3dgs")
    assert refused.code == 2 and "pass --allow-noncommercial" in refused.error
    assert cli("run", videos[0], "--external", "training").code == 2
    assert cli("run", videos[0], "--external", "training=nobody").code == 2
    absent = tmp_path / "absent.toml"
    shipped = (HERE / "reconstruct-train.toml").read_text()
    absent.write_text(shipped.replace('"reconstruct", "train"', '"nowhere", "train"'))
    missing = cli("run", videos[0], "--external", f"training={absent}")
    assert missing.code == 4 and "there is no 'nowhere' on the path" in missing.error
    assert not stages.calls


def test_doctor_lists_programs_with_licence_and_trial(
    cli: Cli, storage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken.toml").write_text("name = 'x'\n")
    monkeypatch.setenv("RECONSTRUCTION_PROGRAMS", str(tmp_path))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    said = cli("doctor")
    assert said.code == 0
    assert "ok      external reconstruct-train" in said.out
    assert "non-commercial use only; unverified" in next(
        line for line in said.out.splitlines() if "dashgaussian" in line
    )
    assert "no image 'graphdeco-3dgs:local'" in said.out
    assert "absent  external broken" in said.out and "'stage' is wrong" in said.out
    monkeypatch.setenv("RECONSTRUCTION_EXTERNAL", f"training={tmp_path / 'broken.toml'}")
    strict = cli("doctor", "--strict")
    assert strict.code == 4 and "external broken" in strict.error
