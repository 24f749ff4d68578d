"""`reconstruct run` on canned stages: what a user is told, given and charged."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from reconstruction_pipeline.artifacts import Gate, Verdict
from reconstruction_pipeline.artifacts.errors import StageFailed
from reconstruction_pipeline.orchestration import pipeline
from reconstruction_pipeline.orchestration.catalog import Catalog
from reconstruction_pipeline.orchestration.names import VIDEOS
from reconstruction_pipeline.orchestration.stage_process import StageCall
from reconstruction_pipeline_tests.cli.conftest import Cli, Done
from reconstruction_pipeline_tests.orchestration.canned import CannedStages
from reconstruction_pipeline_tests.report.scenes import HASH

NOISE = ("Warning", "dagster", "Traceback", "experimental", "DEBUG", "INFO")
DELIVERED = ("scene.ply", "scene.sog", "viewer.html", "mesh.glb", "colmap/", "report.html", "metrics.json")

pytestmark = pytest.mark.usefixtures("storage")


@pytest.fixture(autouse=True)
def content_of_canned_video(monkeypatch: pytest.MonkeyPatch, stages: CannedStages, videos: list[Path]) -> None:
    """The canned `ingest` always reports one hash; the first video has it."""
    from reconstruction_pipeline.orchestration import scene_run
    from reconstruction_pipeline.stages.ingest import content_sha256

    def sha256(path: Path) -> str:
        real = content_sha256(path)
        return HASH if real == content_sha256(videos[0]) else real

    monkeypatch.setattr(scene_run, "content_sha256", sha256)


def partitions() -> list[str]:
    with dg.DagsterInstance.get() as instance:
        return sorted(instance.get_dynamic_partitions(VIDEOS))


def clean(done: Done) -> Done:
    for word in NOISE:
        assert word not in done.out + done.err, done.out + done.err
    return done


def test_a_finished_scene(cli: Cli, stages: CannedStages, videos: list[Path], storage: Path, tmp_path: Path) -> None:
    sparse = Gate("depth_coverage", False, "warn", "Depth covers 30 %.", 0.3, 0.4, "Film textured things.")
    stages.verdicts["estimate_depth"] = Verdict.of([sparse])
    done = clean(cli("run", videos[0], "--preset", "fastest", "--out", tmp_path / "out"))
    assert done.code == 0, done.err
    assert "walk-1: grade B · 26.10 dB on held-out views, 30,000 splats" in done.out
    assert "  warning: depth_maps: Depth covers 30 %." in done.out
    for name in DELIVERED:
        assert f"  {tmp_path / 'out' / 'walk-1' / name.rstrip('/')}{'/' if name.endswith('/') else ''}\n" in done.out
        assert (tmp_path / "out" / "walk-1" / name).exists()
        assert (storage / "deliverables" / "walk-1" / name).exists()
    assert "reconstructing" in done.err and "extract_mesh: 100 %" in done.err
    assert partitions() == ["walk-1"]
    assert Catalog(str(storage)).require("walk-1").sha256 == HASH

    stages.calls.clear()
    again = clean(cli("run", videos[0], "--preset", "fastest"))
    assert again.code == 0
    assert stages.calls == []
    assert "already reconstructed" in again.err and "--again" in again.err
    assert "walk-1: grade B" in again.out

    copied = tmp_path / "copy.mp4"
    shutil.copyfile(videos[0], copied)
    assert "already reconstructed" in clean(cli("run", copied, "--preset", "fastest")).err
    assert stages.calls == []
    assert cli("run", videos[0], "--preset", "fastest", "--again").code == 0
    assert "extract_mesh" in stages.calls
    assert partitions() == ["walk-1"]


def test_other_content_of_the_same_name_is_another_video(cli: Cli, videos: list[Path], storage: Path) -> None:
    assert cli("run", videos[0]).code == 0
    done = clean(cli("run", videos[1]))
    assert done.code == 0
    first, second = partitions()
    assert first == "walk-1"
    assert second.startswith("walk-1-") and len(second) == len("walk-1-") + 8
    assert f"{second}: grade" in done.out


def test_a_name_may_be_given(cli: Cli, videos: list[Path]) -> None:
    assert "garden: grade" in cli("run", videos[0], "--name", "garden").out
    refused = cli("run", videos[0], "--name", "../garden")
    assert refused.code == 2
    assert "not a usable scene name" in refused.error
    assert partitions() == ["garden"]


@pytest.mark.parametrize(("stage", "code"), [("select_keyframes", 2), ("estimate_poses", 3)])
def test_a_failing_gate_stops_with_its_advice_and_a_report(
    cli: Cli, stages: CannedStages, videos: list[Path], storage: Path, tmp_path: Path, stage: str, code: int
) -> None:
    name = {"select_keyframes": "not_static", "estimate_poses": "registered"}[stage]
    gate = Gate(name, False, "block", "Nothing moves in it.", 0.1, 0.5, "Walk around the thing.")
    stages.verdicts[stage] = Verdict.of([gate])
    done = clean(cli("run", videos[0], "--out", tmp_path / "out"))
    assert done.code == code
    assert done.error == "error: walk-1: Nothing moves in it. Walk around the thing."
    assert "walk-1: grade F" in done.out
    folder = tmp_path / "out" / "walk-1"
    assert json.loads((folder / "metrics.json").read_text())["grade"] == "F"
    assert "Walk around the thing" in (folder / "report.html").read_text()
    assert not (folder / "scene.ply").exists()

    done = cli("run", videos[0], "--accept-failed-gates", "--out", tmp_path / "out")
    assert done.code == 0
    assert (folder / "scene.ply").exists()


def test_a_stage_that_refuses_gives_its_sentence(cli: Cli, stages: CannedStages, videos: list[Path]) -> None:
    stages.errors["estimate_poses"] = [StageFailed("walk-1: no two frames match; move, do not only turn.")]
    done = clean(cli("run", videos[0]))
    assert (done.code, done.error) == (3, "error: walk-1: no two frames match; move, do not only turn.")
    assert "report.html" in done.out


def test_out_keeps_other_files_and_drops_what_is_old(
    cli: Cli, stages: CannedStages, videos: list[Path], tmp_path: Path
) -> None:
    cli("run", videos[0], "--out", tmp_path)
    (tmp_path / "walk-1" / "notes.txt").write_text("mine")
    stages.errors["extract_mesh"] = [StageFailed("walk-1: no surface was found.")]
    assert cli("run", videos[0], "--out", tmp_path, "--again").code == 3
    left = {path.name for path in (tmp_path / "walk-1").iterdir()}
    assert {"notes.txt", "scene.ply", "report.html"} <= left
    assert not {"mesh.glb", "mesh.ply"} & left


def test_a_bug_of_a_stage_names_the_run(cli: Cli, stages: CannedStages, videos: list[Path]) -> None:
    stages.errors["select_keyframes"] = [RuntimeError("oops")]
    done = cli("run", videos[0])
    assert done.code == 3
    assert "reconstruct ui" in done.error


CHATTY = """
import subprocess, sys
from reconstruction_pipeline.cli import main
from reconstruction_pipeline.orchestration import pipeline
from reconstruction_pipeline_tests.orchestration.canned import CannedStages
stages = CannedStages()
def chatty(call, progress):
    subprocess.run(["echo", "chatter of " + call.entry], check=True)
    print("WARNING: deprecated", file=sys.stderr)
    return stages(call, progress)
pipeline.run_stage_process = chatty
main()
"""


@pytest.mark.slow
def test_what_stages_print_is_in_the_log_and_on_the_terminal_with_debug_only(videos: list[Path], storage: Path) -> None:
    """In a process of its own, as Dagster captures by descriptors that pytest has replaced here."""
    command = [sys.executable, "-c", CHATTY, "run", str(videos[0]), "--again"]
    quiet = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "chatter" not in quiet.stdout + quiet.stderr and "deprecated" not in quiet.stdout + quiet.stderr
    assert "extract_mesh: 100 %" in quiet.stderr
    logs = [path.read_text() for path in (storage.parent / "home").rglob("compute_logs/*")]
    assert any("chatter of reconstruction_pipeline.stages.mesh" in text for text in logs)
    assert any("WARNING: deprecated" in text for text in logs)
    loud = subprocess.run([*command, "--debug"], capture_output=True, text=True, check=True)
    assert "chatter of" in loud.stdout and "deprecated" in loud.stderr


def test_ctrl_c_ends_with_130_and_a_clean_slate(
    cli: Cli, stages: CannedStages, videos: list[Path], storage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(call: StageCall, progress: object) -> object:
        if "estimate_depth" in call.entry:
            signal.raise_signal(signal.SIGINT)
        return stages(call, progress)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "run_stage_process", interrupted)
        done = clean(cli("run", videos[0]))
    assert done.code == 130
    assert "interrupted" in done.error
    assert not (storage / "depth_maps").exists()
    with dg.DagsterInstance.get() as instance:
        assert [run.status for run in instance.get_runs()] == [dg.DagsterRunStatus.CANCELED]
    assert cli("run", videos[0]).code == 0


def test_several_inputs_are_several_scenes(cli: Cli, stages: CannedStages, videos: list[Path], tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"no")
    done = cli("run", tmp_path / "broken.mp4", videos[0])
    assert done.code == 2
    assert "walk-1: grade B" in done.out
    assert partitions() == ["walk-1"]
