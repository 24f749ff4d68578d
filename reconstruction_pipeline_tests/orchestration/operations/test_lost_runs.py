"""Runs whose process was killed: ended, explained, and their place given back; living ones are left alone."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator

import dagster as dg
import pytest
from dagster._core.events import EngineEventData

from reconstruction_pipeline.orchestration.names import GPU_POOL
from reconstruction_pipeline.orchestration.operations.lost_runs import SENTENCE, lives, lost_runs

RunStatus = dg.DagsterRunStatus


@dg.job
def some_job() -> None: ...


@pytest.fixture
def worker() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    yield process
    process.kill()
    process.wait()


def started(instance: dg.DagsterInstance, pid: int) -> dg.DagsterRun:
    """A run at work as Dagster's launcher leaves it, with the only place of the pool."""
    run = instance.create_run_for_job(some_job, status=RunStatus.STARTED)
    instance.report_engine_event(f"Started process for run (pid: {pid}).", run, EngineEventData.in_process(pid))
    instance.event_log_storage.set_concurrency_slots(GPU_POOL, 1)
    assert instance.event_log_storage.claim_concurrency_slot(GPU_POOL, run.run_id, "training").is_claimed
    return run


def look(instance: dg.DagsterInstance, run: dg.DagsterRun) -> tuple[RunStatus, int]:
    """The run's status and the places taken, after a tick."""
    with dg.build_sensor_context(instance) as context:
        lost_runs(context)
    found = instance.get_run_by_id(run.run_id)
    assert found
    return found.status, instance.event_log_storage.get_concurrency_info(GPU_POOL).active_slot_count


def test_a_killed_run_ends_with_a_sentence_and_gives_back_its_place(
    home: dg.DagsterInstance, worker: subprocess.Popen[bytes]
) -> None:
    run = started(home, worker.pid)
    assert look(home, run) == (RunStatus.STARTED, 1)
    worker.kill()  # a zombie now, as nobody has waited for it yet
    time.sleep(0.2)
    assert look(home, run) == (RunStatus.FAILURE, 0)
    (event,) = home.all_logs(run.run_id, of_type=dg.DagsterEventType.RUN_FAILURE)
    assert SENTENCE in ((event.dagster_event and event.dagster_event.message) or "")


def test_a_run_that_two_daemons_started_lives_while_one_of_its_processes_does(
    home: dg.DagsterInstance, worker: subprocess.Popen[bytes]
) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    run = started(home, gone.pid)
    home.report_engine_event("Started process for run (pid: x).", run, EngineEventData.in_process(worker.pid))
    assert look(home, run)[0] is RunStatus.STARTED
    worker.kill()
    worker.wait()
    assert look(home, run)[0] is RunStatus.FAILURE


def test_the_place_of_a_run_that_somebody_else_failed_is_given_back(
    home: dg.DagsterInstance, worker: subprocess.Popen[bytes]
) -> None:
    run = started(home, worker.pid)
    home.report_run_failed(run, message="its subprocess was terminated by signal 9")  # as the code server does
    assert home.event_log_storage.get_concurrency_info(GPU_POOL).active_slot_count == 1
    assert look(home, run) == (RunStatus.FAILURE, 0)


def test_a_new_process_of_the_same_id_is_not_the_run(worker: subprocess.Popen[bytes]) -> None:
    assert lives(worker.pid, time.time())
    assert not lives(worker.pid, time.time() - 3600)
    assert lives(os.getpid(), time.time())


def test_a_run_that_said_nothing_of_its_process_is_left_alone(home: dg.DagsterInstance) -> None:
    run = home.create_run_for_job(some_job, status=RunStatus.STARTED)
    assert look(home, run)[0] is RunStatus.STARTED
