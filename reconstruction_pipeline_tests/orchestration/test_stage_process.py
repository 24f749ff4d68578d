from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from reconstruction_pipeline.artifacts.errors import Cancelled, InputRejected, StageFailed
from reconstruction_pipeline.artifacts.progress import NullProgress, RecordingProgress
from reconstruction_pipeline.orchestration import stage_process
from reconstruction_pipeline.orchestration.stage_process import StageCall, TransientFailure, run_stage_process

FUNCTIONS = "reconstruction_pipeline_tests.orchestration.stage_functions"


def call(name: str, *args: object) -> StageCall:
    return StageCall(f"{FUNCTIONS}:{name}", args)


def gone(pid: int) -> bool:
    """Whether a process has ended (a zombie that nobody reaped has)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def wait_until(condition: object, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def test_value_and_progress_come_back() -> None:
    progress = RecordingProgress()
    outcome = run_stage_process(call("add", 2, 3), progress)
    assert outcome.value == 5
    assert progress.reports == [("adding", 1, 2, "half"), ("adding", 2, 2, "")]


def test_peak_memory_is_the_childs_own() -> None:
    ballast = bytearray(os.urandom(1) * (300 << 20))
    small = run_stage_process(call("add", 1, 1), NullProgress()).peak_rss_mb
    large = run_stage_process(call("allocate", 200), NullProgress()).peak_rss_mb
    assert small < 200 < large < 200 + small + 250
    assert len(ballast) == 300 << 20


def test_a_refusal_keeps_its_sentence_and_exit_code() -> None:
    with pytest.raises(InputRejected, match="take the lens cap off") as caught:
        run_stage_process(call("refuse"), NullProgress())
    assert caught.value.exit_code == 2


def test_a_killed_child_is_a_transient_failure_not_a_hang() -> None:
    with pytest.raises(TransientFailure, match="exit status -9"):
        run_stage_process(call("crash"), NullProgress())


def test_an_io_error_is_transient_and_a_bug_is_not() -> None:
    with pytest.raises(TransientFailure, match="Input/output error"):
        run_stage_process(call("disk_error"), NullProgress())
    with pytest.raises(StageFailed, match="unexpected KeyError"):
        run_stage_process(call("bug"), NullProgress())


@pytest.mark.parametrize("stage", ["hang", "dawdle"])
def test_a_stage_whose_time_is_up_is_stopped_and_that_is_final(stage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage_process, "GRACE_SECONDS", 1.0)
    began = time.monotonic()
    with pytest.raises(StageFailed, match=rf"{stage} was stopped after 0\.05 minutes, its limit"):
        run_stage_process(replace(call(stage), limit_s=3.0), NullProgress())
    assert 3 <= time.monotonic() - began < 15


def test_cancelling_ends_the_child_and_its_children(tmp_path: Path) -> None:
    pid_file = tmp_path / "pids"
    with pytest.raises(Cancelled):
        run_stage_process(call("work_for_ever", str(pid_file)), RecordingProgress(cancel_after=5))
    for pid in map(int, pid_file.read_text().split()):
        wait_until(lambda pid=pid: gone(pid), 5)


def test_nothing_outlives_a_killed_parent(tmp_path: Path) -> None:
    pid_file = tmp_path / "pids"
    code = (
        f"from {__name__} import call; from reconstruction_pipeline.artifacts.progress import NullProgress\n"
        "from reconstruction_pipeline.orchestration.stage_process import run_stage_process\n"
        f"run_stage_process(call('work_for_ever', {str(pid_file)!r}), NullProgress())"
    )
    parent = subprocess.Popen([sys.executable, "-c", code])
    wait_until(pid_file.exists)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    for pid in map(int, pid_file.read_text().split()):
        wait_until(lambda pid=pid: gone(pid), 10)
