"""`reconstruct run` as a process, on real stages, when something ends it from outside."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import numpy as np
import pytest

from reconstruction_pipeline.artifacts.store import ArtifactStore
from reconstruction_pipeline.orchestration.names import GPU_POOL
from reconstruction_pipeline_tests.stages.captures import RoomCorner, write_video

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds processes in /proc")]


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seconds around the corner of a room."""
    room = RoomCorner(320, 240, 270.0)
    frames = [room.render(*room.camera(angle)) for angle in np.linspace(-0.5, 0.5, 45)]
    return write_video(tmp_path_factory.mktemp("videos") / "corner.mp4", frames)


def processes(word: str, root: Path) -> list[int]:
    """Living processes with the word in their command line that were started for this storage root."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        try:
            command, environment = (folder / "cmdline").read_bytes(), (folder / "environ").read_bytes()
        except OSError:
            continue
        if word.encode() in command and f"RECONSTRUCTION_STORAGE={root}\0".encode() in environment + b"\0":
            found.append(int(folder.name))
    return found


def run_until(
    video: Path, storage: Path, word: str, act: Callable[[subprocess.Popen[str], int], None]
) -> tuple[int, str]:
    """Run the video; once a process with `word` works on it, act; exit code and what was on standard error."""
    log = storage.parent / "stderr.txt"
    with log.open("w") as err:
        process = subprocess.Popen(
            [sys.executable, "-m", "reconstruction_pipeline.cli", "run", str(video), "--preset", "fastest"],
            env={**os.environ, "RECONSTRUCTION_STORAGE": str(storage)},
            stdout=subprocess.DEVNULL,
            stderr=err,
            text=True,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + 200
        while not (found := processes(word, storage)):
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        time.sleep(1.0)
        act(process, found[0])
        process.wait(120)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    return process.returncode, log.read_text()


def test_ctrl_c_while_cameras_are_placed(video: Path, storage: Path) -> None:
    code, err = run_until(video, storage, "colmap_worker", lambda run, _: run.send_signal(signal.SIGINT))
    assert code == 130, err
    assert err.rstrip().splitlines()[-1].startswith("error: interrupted")
    assert "Traceback" not in err
    assert processes("reconstruction_pipeline", storage) == []
    store = ArtifactStore(storage, storage / ".scratch")
    assert store.current_version("keyframes", "corner")
    assert store.current_version("camera_poses", "corner") is None
    with dg.DagsterInstance.get() as instance:
        assert [run.status for run in instance.get_runs()] == [dg.DagsterRunStatus.CANCELED]
        assert instance.event_log_storage.get_concurrency_info(GPU_POOL).claimed_slots == []


def test_the_death_of_the_child_that_places_cameras(video: Path, storage: Path) -> None:
    code, err = run_until(video, storage, "colmap_worker", lambda _, child: os.kill(child, signal.SIGKILL))
    assert code == 3, err
    sentence = err.rstrip().splitlines()[-1]
    assert sentence.startswith("error: ") and "SIGKILL" in sentence
    assert "Traceback" not in err
    metrics = json.loads((storage / "deliverables" / "corner" / "metrics.json").read_text())
    assert metrics["grade"] == "F"
    assert (storage / "deliverables" / "corner" / "report.html").exists()
    assert processes("reconstruction_pipeline", storage) == []


def test_a_killed_command_leaves_nothing_running_and_the_next_one_works(video: Path, storage: Path) -> None:
    code, _ = run_until(video, storage, "colmap_worker", lambda run, _: run.kill())
    assert code == -signal.SIGKILL
    deadline = time.monotonic() + 20
    while processes("reconstruction_pipeline", storage):
        assert time.monotonic() < deadline, "a stage outlives the command"
        time.sleep(0.2)
    with dg.DagsterInstance.get() as instance:
        assert [run.status for run in instance.get_runs()] == [dg.DagsterRunStatus.STARTED]
        assert len(instance.event_log_storage.get_concurrency_info(GPU_POOL).claimed_slots) == 1
    code, err = run_until(video, storage, "colmap_worker", lambda run, _: run.send_signal(signal.SIGINT))
    assert code == 130, err
    with dg.DagsterInstance.get() as instance:
        statuses = {run.status for run in instance.get_runs()}
        assert statuses == {dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED}
