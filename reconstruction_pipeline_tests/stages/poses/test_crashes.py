"""COLMAP's process dies, hangs or finds its files damaged: the step fails in one sentence, and nothing is left over."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from reconstruction_pipeline.artifacts.errors import Cancelled, StageFailed
from reconstruction_pipeline.artifacts.keyframes import Keyframes
from reconstruction_pipeline.artifacts.progress import NullProgress, RecordingProgress
from reconstruction_pipeline.stages.poses import PoseSettings, estimate_poses
from reconstruction_pipeline.stages.poses.child import PACKAGE_ROOT, ColmapChild
from reconstruction_pipeline_tests.stages.captures import RoomCorner
from reconstruction_pipeline_tests.stages.poses.test_estimate_poses import ANGLES, write_keyframes

SETTINGS = PoseSettings(threads=2, features=600, min_observations=5)

needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds the child through /proc")


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Keyframes:
    corner = RoomCorner()
    return write_keyframes(tmp_path_factory.mktemp("room"), [corner.render(*corner.camera(a)) for a in ANGLES[::2]])


def workers(parent: int | None = None) -> list[int]:
    """Process ids of the COLMAP workers that `parent` (default: this process) started."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and b"colmap_worker" in (entry / "cmdline").read_bytes():
                status = (entry / "stat").read_text().rsplit(")", 1)[1].split()
                if status[0] != "Z" and int(status[1]) == (parent or os.getpid()):
                    found.append(int(entry.name))
        except (OSError, IndexError):
            continue
    return found


class During:
    """Does something whenever COLMAP reports from a phase."""

    def __init__(self, phase: str, act: Callable[[], None]) -> None:
        self.phase, self.act = phase, act

    def report(self, stage: str, done: float, total: float, note: str = "") -> None:
        if note.startswith(self.phase):
            self.act()


def send(number: signal.Signals) -> Callable[[], None]:
    def act() -> None:
        for pid in workers():
            os.kill(pid, number)

    return act


def nothing_left(folder: Path) -> bool:
    """No scratch files, no half-made artifact, no process."""
    made = {path.name for path in folder.iterdir()}
    return made <= {"colmap.log"} and not (Path("/proc/self/stat").exists() and workers())


@needs_proc
@pytest.mark.parametrize(
    "phase",
    [
        "features",
        "mapping",
        pytest.param("matching", marks=pytest.mark.soak),
        pytest.param("undistorting", marks=pytest.mark.soak),
    ],
)
def test_a_killed_colmap_fails_the_stage_and_nothing_else(phase: str, room: Keyframes, tmp_path: Path) -> None:
    with pytest.raises(StageFailed, match=r"COLMAP's process was killed by SIGKILL.*last lines: .") as failure:
        estimate_poses(room, SETTINGS, tmp_path, During(phase, send(signal.SIGKILL)))
    assert "\n" not in str(failure.value)
    assert nothing_left(tmp_path)


@needs_proc
def test_an_abort_inside_colmap_is_told_by_its_signal(room: Keyframes, tmp_path: Path) -> None:
    with pytest.raises(StageFailed, match=r"COLMAP's process was killed by SIGABRT; its last lines"):
        estimate_poses(room, SETTINGS, tmp_path, During("matching", send(signal.SIGABRT)))
    assert nothing_left(tmp_path)


@needs_proc
def test_cancelling_takes_colmap_along(room: Keyframes, tmp_path: Path) -> None:
    with pytest.raises(Cancelled):
        estimate_poses(room, SETTINGS, tmp_path, RecordingProgress(cancel_after=2))
    assert nothing_left(tmp_path)


@pytest.mark.parametrize("phase", ["matching", pytest.param("mapping", marks=pytest.mark.soak)])
def test_a_database_damaged_between_steps_fails_the_stage(phase: str, room: Keyframes, tmp_path: Path) -> None:
    database = tmp_path / ".colmap" / "rung-0" / "database.db"

    def damage() -> None:
        if database.exists():
            database.write_bytes(bytes(range(256)) * (database.stat().st_size // 256 + 1))

    with pytest.raises(StageFailed, match=r"^camera_poses: COLMAP's (process |database )") as failure:
        estimate_poses(room, SETTINGS, tmp_path, During(phase, damage))
    assert "\n" not in str(failure.value)
    assert nothing_left(tmp_path)


def test_lateness_is_a_failure(room: Keyframes, tmp_path: Path) -> None:
    with pytest.raises(StageFailed, match=r"COLMAP's process did not finish within its time limit.*last lines"):
        estimate_poses(room, replace(SETTINGS, time_limit_s=0.1), tmp_path)
    assert nothing_left(tmp_path)


@needs_proc
def test_a_process_that_hangs_is_ended_at_the_limit(tmp_path: Path) -> None:
    """Stopped by the system, it answers nothing, not even a polite request to end."""
    stopping = During("", send(signal.SIGSTOP))
    child = ColmapChild(tmp_path / "work", tmp_path / "colmap.log", stopping, time.monotonic() + 2)
    with pytest.raises(StageFailed, match="time limit"):
        child.run({"task": "map", "work": str(tmp_path / "nowhere")})
    assert workers() == []


def test_an_error_inside_colmap_is_told(tmp_path: Path) -> None:
    child = ColmapChild(tmp_path / "work", tmp_path / "colmap.log", NullProgress(), time.monotonic() + 60)
    job = {"task": "undistort", "model": str(tmp_path / "none"), "images": str(tmp_path), "output": str(tmp_path / "o")}
    with pytest.raises(StageFailed, match="COLMAP's process failed"):
        child.run({**job, "max_size": 100, "jpeg_quality": 90, "threads": 1, "expected": 1})


@needs_proc
def test_colmap_does_not_outlive_its_parent(tmp_path: Path) -> None:
    """The parent is killed without a chance to clean up while its child waits for work to end."""
    code = (
        "import subprocess, sys, time\n"
        "from reconstruction_pipeline.stages.poses.child import WORKER\n"
        "p = subprocess.Popen([sys.executable, '-m', WORKER, '/dev/stdin'], stdin=subprocess.PIPE)\n"
        "time.sleep(600)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=PACKAGE_ROOT)
    try:
        deadline = time.monotonic() + 30
        while not (children := workers(parent.pid)) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert children
    finally:
        parent.kill()
        parent.wait()
    deadline = time.monotonic() + 20
    while Path(f"/proc/{children[0]}").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not Path(f"/proc/{children[0]}").exists()
