"""Programs in real containers of an engine that this test starts."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reconstruction_pipeline.artifacts import CameraPoses, GaussianSplats
from reconstruction_pipeline.artifacts.errors import Cancelled, MissingRequirement, StageFailed
from reconstruction_pipeline.artifacts.progress import NullProgress, Progress, RecordingProgress
from reconstruction_pipeline.external.containers import LABEL
from reconstruction_pipeline.external.descriptor import Container, Program
from reconstruction_pipeline.external.health import examine_programs
from reconstruction_pipeline.external.loading import shipped_programs
from reconstruction_pipeline.external.run import run_external
from reconstruction_pipeline.external.stage import ExternalStage, Outcome
from reconstruction_pipeline.kernels import memory as kernels
from reconstruction_pipeline.stages.compression.settings import CompressionSettings
from reconstruction_pipeline.stages.compression.stage import compress_splats
from reconstruction_pipeline.stages.splats import TrainSettings, gaussian_splats
from reconstruction_pipeline_tests import readers
from reconstruction_pipeline_tests.external.programs import program
from reconstruction_pipeline_tests.external.scene import HOLDOUT
from reconstruction_pipeline_tests.orchestration.hardware.engine import IMAGE, Engine, host_mounts

pytestmark = [pytest.mark.daemon, pytest.mark.timeout(600)]
MOUNTS = tuple(mount.removesuffix(":ro") for mount in host_mounts())
HERE = Container(image=IMAGE, mounts=MOUNTS)


@pytest.fixture(autouse=True)
def docker_host(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", engine.url)


def inside(made: Program, **changes: Any) -> Program:
    return replace(made, run_in="container", container=replace(HERE, **changes))


def run(
    made: Program, folder: Path, limit_s: float = 120.0, progress: Progress | None = None, **kwargs: Any
) -> Outcome:
    stage = ExternalStage(made, kwargs, ("FROM_THE_PROFILE=yes",))
    inputs, deadline = {"project": folder / "work" / "input"}, time.monotonic() + limit_s
    log, progress = folder / "external.log", progress or NullProgress()
    return run_external(stage, inputs, {}, folder / "work", log, progress, deadline)


def left(engine: Engine) -> list[Any]:
    found: list[Any] = engine.client.containers.list(all=True, filters={"label": f"{LABEL}=external"})
    return found


def test_it_runs_there_with_little_and_leaves_its_files(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    told = {"PROJECT": "{project}", "NAME": "a value"}
    outcome = run(inside(program("environment", environment=told)), tmp_path, mem_limit="512m")
    seen = dict(line.split("=", 1) for line in outcome.results["3dgs-ply"].read_text().splitlines())
    assert seen["NAME"] == "a value" and seen["FROM_THE_PROFILE"] == "yes" and "AWS_SECRET_ACCESS_KEY" not in seen
    assert seen["HOME"] == str(tmp_path / "work") and seen["PROJECT"].startswith(str(tmp_path))
    assert outcome.results["3dgs-ply"].stat().st_uid == os.getuid()
    assert "started environment" in (tmp_path / "external.log").read_text()
    assert not left(engine)


@pytest.mark.soak
@pytest.mark.parametrize(
    ("mode", "said"),
    [
        (("nothing",), "ended well but left no 'scene.ply'"),
        (("fail",), r"ended with status 3; its last lines: started fail \| cannot find the frobnicator"),
        (("die", "SIGSEGV"), "was killed by SIGSEGV"),
        (("memory", "600"), "was killed because its container's memory ran out"),
    ],
)
def test_each_way_of_failing_is_a_sentence(engine: Engine, mode: tuple[str, ...], said: str, tmp_path: Path) -> None:
    with pytest.raises(StageFailed, match=said):
        run(inside(program(*mode)), tmp_path, mem_limit="256m", memswap_limit="256m")
    assert not left(engine)


@pytest.mark.soak
def test_what_hangs_is_ended_and_taken_away(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(StageFailed, match="did not end within its time limit; its last lines: started hang"):
        run(inside(program("hang")), tmp_path / "late", limit_s=4)
    assert not left(engine)
    with pytest.raises(Cancelled):
        run(inside(program("hang")), tmp_path / "cancelled", progress=RecordingProgress(cancel_after=30))
    assert not left(engine)


@pytest.mark.soak
def test_it_does_not_outlive_who_waits_for_it(engine: Engine, tmp_path: Path) -> None:
    import signal
    import subprocess

    code = (
        "import sys, pathlib\n"
        "from reconstruction_pipeline_tests.external.test_containers import run, inside, program\n"
        "run(inside(program('hang')), pathlib.Path(sys.argv[1]))\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=Path(__file__).parents[2])
    deadline = time.monotonic() + 110
    while not any(one.status == "running" for one in left(engine)) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert left(engine)
    deadline = time.monotonic() + 60
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    while left(engine) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not left(engine)


@pytest.mark.soak
def test_a_flood_is_drained_there_too(engine: Engine, tmp_path: Path) -> None:
    outcome = run(inside(program("flood", "300", log_limit_mb=2)), tmp_path, limit_s=500)
    assert outcome.log_bytes > 0.98 * 300 * 2**20
    assert (tmp_path / "external.log").read_text().endswith("the last line of the flood\n")
    assert not left(engine)


@pytest.mark.soak
def test_what_docker_lacks_is_named(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = inside(program("few"), image="nobody/has:this")
    with pytest.raises(MissingRequirement, match=r"cannot be started in a container .*nobody/has:this"):
        run(made, tmp_path)
    health = {found.name: found for found in examine_programs()}["graphdeco-3dgs"]
    assert not health.present and "no image 'graphdeco-3dgs:local'" in health.problem
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")
    with pytest.raises(MissingRequirement, match="cannot be started in a container"):
        run(made, tmp_path / "no-engine")


@pytest.mark.soak
@pytest.mark.parametrize(("mode", "gate"), [("few", "model_size"), ("nan", "finite")])
def test_its_scene_meets_the_same_gates(
    mode: str, gate: str, engine: Engine, scene: tuple[GaussianSplats, CameraPoses], tmp_path: Path
) -> None:
    settings, stage = TrainSettings(steps=100, seconds=None, holdout=HOLDOUT), ExternalStage(inside(program(mode)))
    result = gaussian_splats(scene[1], None, settings, tmp_path, NullProgress(), external=stage)
    assert not {one.name: one.passed for one in result.verdict.gates}[gate] and not result.verdict.ok


@pytest.mark.soak
def test_splat_transform_in_a_container(
    engine: Engine, scene: tuple[GaussianSplats, CameraPoses], tmp_path: Path
) -> None:
    tools = readers.install() / "node_modules" / ".bin"
    made = shipped_programs()["splat-transform"]
    path = {"PATH": f"{tools}:{Path(sys.executable).parent}:/usr/bin:/bin"}
    settings = CompressionSettings(holdout=HOLDOUT, clean=False, also=(), measure_size_px=160)
    stage = ExternalStage(inside(replace(made, environment=path)))
    result = compress_splats(*scene, settings, tmp_path, NullProgress(), external=stage)
    assert {gate.name: gate.passed for gate in result.verdict.gates}["sog_decodes"]
    assert result.metrics["external"]["image"] == IMAGE and not left(engine)


@pytest.mark.soak
def test_our_trainer_in_a_container(engine: Engine, scene: tuple[GaussianSplats, CameraPoses], tmp_path: Path) -> None:
    made = shipped_programs()["reconstruct-train"]
    # The checkout is there to read; where its kernels are kept, also to write, or they would all be compiled again.
    kept = str(Path(kernels.__file__).parent / "__pycache__")
    profile = {"mounts": [{"Type": "bind", "Source": kept, "Target": kept, "ReadOnly": False}]}
    here = {"PYTHONPATH": str(Path(__file__).parents[2])}
    settings = TrainSettings(steps=300, seconds=None, holdout=HOLDOUT, max_splats=20_000)
    stage = ExternalStage(inside(replace(made, environment=here)), profile)
    (tmp_path / "workspace").mkdir()
    result = gaussian_splats(scene[1], None, settings, tmp_path / "workspace", NullProgress(), external=stage)
    assert result.verdict.ok, result.verdict.sentence()
    assert result.metrics["steps"] == 300 and result.metrics["external_device"] == "cpu"
    assert result.metrics["external"]["image"] == IMAGE and not left(engine)
