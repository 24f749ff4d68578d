"""A step stops when nobody waits for it any more: its run has ended, or the run's process is gone."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from pathlib import Path

import dagster as dg
import pytest

from reconstruction_pipeline.artifacts.progress import NullProgress
from reconstruction_pipeline.orchestration.stage_process import StageCall, run_stage_process
from reconstruction_pipeline.orchestration.still_wanted import LOOK_SECONDS, StillWanted

DAWDLE = StageCall("reconstruction_pipeline_tests.orchestration.stage_functions:dawdle", ())


@dg.job
def some_job() -> None: ...


def test_a_run_that_ended_without_its_stage_is_noticed_and_a_silent_database_is_not_its_end() -> None:
    now = 0.0
    with dg.DagsterInstance.ephemeral() as instance:
        run = instance.create_run_for_job(some_job, status=dg.DagsterRunStatus.STARTED)
        wanted = StillWanted(NullProgress(), instance, run.run_id, lambda: now)
        now = 2 * LOOK_SECONDS
        wanted.check()
        instance.report_run_canceled(run)
        wanted.check()  # not yet time to look again
        now = 4 * LOOK_SECONDS
        with pytest.raises(dg.Failure) as stopped:
            wanted.check()
        assert "has ended" in str(stopped.value.description) and not stopped.value.allow_retries
    now = 6 * LOOK_SECONDS

    class Away:
        def get_run_by_id(self, run_id: str) -> None:
            raise ConnectionError("the database is away")

    silent = StillWanted(NullProgress(), Away(), "", lambda: now)  # type: ignore[arg-type]
    now = 8 * LOOK_SECONDS
    silent.check()


def step(told: str) -> None:
    """As a step of the process executor: a child of `multiprocessing` whose stage is a child of its own."""
    with dg.DagsterInstance.ephemeral() as instance:
        try:
            run_stage_process(DAWDLE, StillWanted(Tell(told), instance, "no such run"))
        except dg.Failure as reason:
            Path(told).write_text(str(reason.description))


class Tell:
    """Leaves a file once the stage is at work."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)

    def report(self, stage: str, done: float, total: float, note: str = "") -> None:
        self._path.touch()


def worker(told: str) -> None:
    """As a run's worker."""
    child = multiprocessing.get_context("spawn").Process(target=step, args=(told,))
    child.start()
    child.join()


def test_a_step_whose_run_was_killed_stops_its_stage(tmp_path: Path) -> None:
    told = tmp_path / "told"
    run = multiprocessing.get_context("spawn").Process(target=worker, args=(str(told),))
    run.start()
    deadline = time.monotonic() + 120
    while not told.exists():
        assert time.monotonic() < deadline and run.is_alive()
        time.sleep(0.05)
    assert run.pid
    os.kill(run.pid, signal.SIGKILL)
    run.join()
    while not told.read_text():
        assert time.monotonic() < deadline, "the stage goes on for nobody"
        time.sleep(0.05)
    assert "the process of the run is gone" in told.read_text()
