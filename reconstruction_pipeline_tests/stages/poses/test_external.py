"""Another program as a rung of the ladder: it is run, watched, and its poses are judged like all others."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from reconstruction_pipeline.artifacts.colmap import Camera, ColmapModel, PosedImage, quaternion_of, write_model
from reconstruction_pipeline.artifacts.errors import Cancelled, MissingRequirement, StageFailed, UsageError
from reconstruction_pipeline.artifacts.keyframes import Keyframes
from reconstruction_pipeline.artifacts.progress import NullProgress, RecordingProgress
from reconstruction_pipeline.external.loading import program_of
from reconstruction_pipeline.external.stage import ExternalStage
from reconstruction_pipeline.orchestration.assets.camera_poses import with_external_stage
from reconstruction_pipeline.settings import load_settings
from reconstruction_pipeline.stages.poses import PoseSettings, climb, estimate_poses
from reconstruction_pipeline.stages.poses.child import ColmapChild
from reconstruction_pipeline.stages.poses.external import take_external
from reconstruction_pipeline.stages.poses.rungs import ladder
from reconstruction_pipeline_tests.stages.captures import RoomCorner
from reconstruction_pipeline_tests.stages.poses.test_estimate_poses import ANGLES, aligned_errors, write_keyframes

# Copies a model, if it is given one, after looking at the pictures; then does what it is told.
PROGRAM = """
import pathlib, shutil, sys, time
images, output, model, then = sys.argv[1:]
print(len(list(pathlib.Path(images).glob("*.jpg"))), "pictures seen", flush=True)
if model:
    shutil.copytree(model, pathlib.Path(output, "sparse", "0"))
if then == "hang":
    time.sleep(600)
sys.exit(int(then))
"""


def poses_program(*words: str) -> ExternalStage:
    body = {
        "name": "copier",
        "stage": "poses",
        "licence": "MIT",
        "commercial_use": True,
        "reads": {"images": "image-folder"},
        "writes": {".": "colmap"},
        "argv": list(words),
    }
    return ExternalStage(program_of(body, "test"))


def command(tmp_path: Path, model: Path | None, then: str = "0") -> PoseSettings:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    words = (sys.executable, str(program), "{images}", "{output}", str(model or ""), then)
    return PoseSettings(threads=2, external=poses_program(*words), min_observations=5)


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Keyframes:
    corner = RoomCorner()
    return write_keyframes(tmp_path_factory.mktemp("room"), [corner.render(*corner.camera(a)) for a in ANGLES])


def true_model(folder: Path, order: np.ndarray | None = None) -> Path:
    """The room's cameras, without points; in another `order`, every image has the pose of another."""
    corner, images = RoomCorner(), []
    for k, angle in enumerate(ANGLES if order is None else ANGLES[order]):
        rotation, center = corner.camera(angle)
        none = np.zeros((0, 2)), np.zeros(0, np.int64)
        images.append(PosedImage(f"{k:05d}.jpg", 1, quaternion_of(rotation), rotation, -rotation @ center, *none))
    camera = Camera("PINHOLE", corner.width, corner.height, (corner.focal, corner.focal, 240.0, 180.0))
    empty = np.zeros((0, 3))
    model = ColmapModel({1: camera}, tuple(images), empty, empty.astype(np.uint8), np.zeros(0), np.zeros(0, np.int64))
    write_model(folder, model)
    return folder


def run(
    settings: PoseSettings, room: Keyframes, tmp_path: Path, limit_s: float = 120.0, progress: object = None
) -> tuple[object, dict[str, object]]:
    child = ColmapChild(
        tmp_path / "work",
        tmp_path / "colmap.log",
        progress or NullProgress(),  # type: ignore[arg-type]
        time.monotonic() + limit_s,
    )
    child.work.mkdir()
    return take_external(room, settings, child, tmp_path / "external", 5)


@pytest.mark.slow
def test_its_poses_are_used_when_colmap_has_none(
    room: Keyframes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """COLMAP's one rung has six features to work with; the true cameras come from the program."""
    monkeypatch.setattr(climb, "ladder", lambda *chosen: (replace(ladder(*chosen)[0], features=6),))
    settings = command(tmp_path, true_model(tmp_path / "true"))
    poses = estimate_poses(room, settings, tmp_path / "poses")
    metrics = poses.metrics
    assert (metrics["backend"], metrics["rung"], metrics["registered"]) == ("external-copier", "external stage", 10)
    assert metrics["fallback_level"] == 1
    assert [rung["name"] for rung in metrics["rungs"]] == ["quick", "external stage"]
    assert "no model" in metrics["rungs"][1]["why"]
    corner = RoomCorner()
    true = np.array([corner.camera(a)[1] for a in ANGLES])
    assert aligned_errors(poses.model().centers, true).max() < 1e-4
    gates = {gate.name: gate for gate in poses.verdict.gates}
    assert not gates["first_settings"].passed and "external stage" in gates["first_settings"].message
    assert "fold" in gates and gates["reprojection_error"].passed, "the same gates"
    assert "10 pictures seen" in poses.path("external.log").read_text()
    assert not poses.path(".colmap").exists()
    assert metrics["external"]["licence"] == "MIT"


@pytest.mark.slow
@pytest.mark.soak
def test_a_chosen_program_takes_colmaps_place(room: Keyframes, tmp_path: Path) -> None:
    chosen = command(tmp_path, true_model(tmp_path / "true")).external
    settings = PoseSettings(threads=2, min_observations=5)
    poses = estimate_poses(room, settings, tmp_path / "poses", external=chosen)
    metrics = poses.metrics
    assert (metrics["backend"], metrics["fallback_level"], metrics["registered"]) == ("external-copier", 0, 10)
    assert [rung["name"] for rung in metrics["rungs"]] == ["external stage"]
    assert {gate.name: gate for gate in poses.verdict.gates}["first_settings"].passed
    nothing = command(tmp_path, None).external
    with pytest.raises(StageFailed, match="left nothing in its output folder"):
        estimate_poses(room, settings, tmp_path / "none", external=nothing)


@pytest.mark.slow
@pytest.mark.soak
def test_wrong_poses_are_not_believed(room: Keyframes, tmp_path: Path) -> None:
    shuffled = true_model(tmp_path / "wrong", np.random.default_rng(0).permutation(10))
    best, record = run(command(tmp_path, shuffled), room, tmp_path)
    assert best is None or best.evidence.folded or not best.sound  # type: ignore[attr-defined]
    assert best is not None or "agree" in str(record["failed"])


@pytest.mark.parametrize(
    ("model", "then", "said"),
    [
        (False, "0", r"'copier' ended well but left nothing in its output folder"),
        (True, "3", r"'copier' ended with status 3; its last lines: 10 pictures seen"),
    ],
)
def test_an_end_without_poses_is_a_failure(room: Keyframes, tmp_path: Path, model: bool, then: str, said: str) -> None:
    settings = command(tmp_path, true_model(tmp_path / "true") if model else None, then)
    best, record = run(settings, room, tmp_path)
    assert best is None
    with pytest.raises(StageFailed, match=said):
        raise StageFailed(str(record["failed"]))


def gone(program: Path) -> bool:
    """Whether no process has this file on its command line; the system may take a moment to end one."""
    deadline = time.monotonic() + 10
    while living(program):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def living(of: Path) -> list[int]:
    """Processes that have this file on their command line."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and str(of).encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return [pid for pid in found if pid != os.getpid()]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
def test_neither_lateness_nor_cancelling_leaves_it_running(room: Keyframes, tmp_path: Path) -> None:
    settings = command(tmp_path, None, "hang")
    best, record = run(settings, room, tmp_path, limit_s=4.0)
    assert best is None and "time limit" in str(record["failed"])
    assert gone(tmp_path / "program.py")
    (tmp_path / "again").mkdir()
    with pytest.raises(Cancelled):
        run(settings, room, tmp_path / "again", progress=RecordingProgress(cancel_after=6))
    assert gone(tmp_path / "program.py")


def test_a_command_that_cannot_work_is_refused_before_any_work(room: Keyframes, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"does not say where \{output\} goes"):
        poses_program(sys.executable, "{images}")
    absent = PoseSettings(external=poses_program("no-such-program", "{images}", "{output}"))
    with pytest.raises(MissingRequirement, match="'no-such-program'"):
        estimate_poses(room, absent, tmp_path)


def test_the_keyframes_are_not_at_its_mercy(room: Keyframes, tmp_path: Path) -> None:
    program = tmp_path / "vandal.py"
    program.write_text("import pathlib, sys\nfor p in pathlib.Path(sys.argv[1]).iterdir(): p.write_bytes(b'')\n")
    settings = PoseSettings(external=poses_program(sys.executable, str(program), "{images}", "{output}"))
    before = room.path("images", "00000.jpg").stat().st_size
    run(settings, room, tmp_path)
    assert room.path("images", "00000.jpg").stat().st_size == before


def test_a_deployment_configures_it_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECONSTRUCTION_POSES_COMMAND", "mapper --in {images} --name 'a b' {output}")
    settings = with_external_stage(PoseSettings())
    assert settings.external and not settings.external_only
    assert settings.external.program.argv == ("mapper", "--in", "{images}", "--name", "a b", "{output}")
    own = poses_program("own", "{images}", "{output}")
    assert with_external_stage(replace(settings, external=own)).external == own
    with pytest.raises(UsageError, match="RECONSTRUCTION_POSES_COMMAND is no command line"):
        load_settings({"RECONSTRUCTION_POSES_COMMAND": "mapper 'open"})
