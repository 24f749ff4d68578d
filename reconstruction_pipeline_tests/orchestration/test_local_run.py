"""Runs made by `reconstruct run`: on a real instance in a temporary home, with canned stages."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import dagster as dg
import pytest

from reconstruction_pipeline.artifacts.progress import RecordingProgress
from reconstruction_pipeline.orchestration.catalog import Catalog, Entry
from reconstruction_pipeline.orchestration.io_manager import open_store
from reconstruction_pipeline.orchestration.local_run import LOCATION, run_job
from reconstruction_pipeline.orchestration.names import GPU_POOL, JOB, STAGES, VIDEOS
from reconstruction_pipeline.orchestration.pool_places import PROCESS_TAG, process_tags, release_places_of_dead_runs
from reconstruction_pipeline_tests.orchestration.canned import CannedStages

KEY = "walk"
BALANCED = {"preset": "balanced"}
RunStatus = dg.DagsterRunStatus


@pytest.fixture
def instance(home: dg.DagsterInstance, storage: Path, stages: CannedStages, tmp_path: Path) -> dg.DagsterInstance:
    origin = tmp_path / "walk.mp4"
    origin.write_bytes(b"video")
    Catalog(str(storage)).register(Entry(KEY, str(origin)))
    return home


def claimed(instance: dg.DagsterInstance) -> int:
    return instance.event_log_storage.get_concurrency_info(GPU_POOL).active_slot_count


def status(instance: dg.DagsterInstance, run_id: str) -> RunStatus:
    run = instance.get_run_by_id(run_id)
    assert run
    return run.status


def process(**changes: str) -> str:
    """The tag of a run of this process, for `hold_the_pool` to complete, with some parts changed."""
    parts = dict(zip(("run", "host", "pid", "birth"), process_tags("{run}")[PROCESS_TAG].split(":"), strict=True))
    return ":".join((parts | changes).values())


def dead_process(run: str = "{run}") -> str:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return process(run=run, pid=str(child.pid), birth="1")


def hold_the_pool(instance: dg.DagsterInstance, tag: str) -> dg.DagsterRun:
    """A run of another process that occupies the only place of the pool."""
    run = instance.create_run_for_job(make_other_job(), status=RunStatus.STARTED)
    instance.add_run_tags(run.run_id, {PROCESS_TAG: tag.format(run=run.run_id)})
    instance.event_log_storage.initialize_concurrency_limit_to_default(GPU_POOL)
    claim = instance.event_log_storage.claim_concurrency_slot(GPU_POOL, run.run_id, "training")
    assert claim.is_claimed
    return run


def make_other_job() -> dg.JobDefinition:
    @dg.job
    def other() -> None: ...

    return other


def test_a_run_is_one_that_the_ui_knows_and_gives_back_its_places(instance: dg.DagsterInstance) -> None:
    made = run_job(instance, KEY, {"preset": "fastest"})
    assert made.success
    run = instance.get_run_by_id(made.run_id)
    assert run and run.status is RunStatus.SUCCESS and run.job_name == JOB
    assert run.tags["dagster/partition"] == KEY
    assert run.remote_job_origin and run.remote_job_origin.location_name == LOCATION
    assert run.remote_job_origin.repository_origin.repository_name == "__repository__"
    assert run.job_code_origin and run.job_code_origin.job_name == JOB
    assert instance.has_dynamic_partition(VIDEOS, KEY)
    for stage in STAGES:
        assert KEY in instance.get_materialized_partitions(dg.AssetKey(stage))
    assert claimed(instance) == 0


def interrupt(at: str, stages: CannedStages, monkeypatch: pytest.MonkeyPatch) -> None:
    """A real SIGINT arrives while the stage is at work."""
    import signal
    import time

    from reconstruction_pipeline.orchestration import pipeline

    def run(call: object, progress: object) -> object:
        if at in call.entry:  # type: ignore[attr-defined]
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(30)
        return stages(call, progress)  # type: ignore[arg-type]

    monkeypatch.setattr(pipeline, "run_stage_process", run)


def test_ctrl_c_in_a_stage_cancels_the_run_and_the_next_one_works(
    instance: dg.DagsterInstance, stages: CannedStages, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        interrupt("estimate_depth", stages, patch)
        with pytest.raises(KeyboardInterrupt):
            run_job(instance, KEY, BALANCED)
    (run,) = instance.get_runs()
    assert run.status is RunStatus.CANCELED
    assert claimed(instance) == 0
    assert stages.calls == ["ingest", "select_keyframes", "estimate_poses"]
    assert open_store().current_version("depth_maps", KEY) is None
    assert run_job(instance, KEY, BALANCED).success


def test_a_killed_runs_place_is_given_back(instance: dg.DagsterInstance) -> None:
    dead = hold_the_pool(instance, dead_process())
    assert claimed(instance) == 1
    release_places_of_dead_runs(instance)
    assert claimed(instance) == 0
    assert status(instance, dead.run_id) is RunStatus.FAILURE


def test_living_runs_and_those_of_others_keep_their_places(instance: dg.DagsterInstance) -> None:
    repeated_in_the_ui = dead_process(run="the-run-that-it-repeats")
    for tag in (process(), process(host="elsewhere", birth="1"), repeated_in_the_ui, ""):
        run = hold_the_pool(instance, tag)
        release_places_of_dead_runs(instance)
        assert status(instance, run.run_id) is RunStatus.STARTED
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)


def test_a_process_id_used_again_is_not_taken_for_the_run(instance: dg.DagsterInstance) -> None:
    run = hold_the_pool(instance, process(birth="1"))
    release_places_of_dead_runs(instance)
    assert status(instance, run.run_id) is RunStatus.FAILURE


def test_a_run_waits_for_the_pool_says_so_and_goes_on(instance: dg.DagsterInstance) -> None:
    other = hold_the_pool(instance, process())
    progress = RecordingProgress()

    def give_back() -> None:
        while not progress.reports:
            pass_time.wait(0.1)
        instance.event_log_storage.free_concurrency_slots_for_run(other.run_id)

    pass_time = threading.Event()
    helper = threading.Thread(target=give_back)
    helper.start()
    made = run_job(instance, KEY, BALANCED, progress)
    helper.join()
    assert made.success
    stage, _, _, note = progress.reports[0]
    assert stage == "waiting" and GPU_POOL in note and other.run_id[:8] in note


def test_ctrl_c_while_waiting_for_the_pool(instance: dg.DagsterInstance) -> None:
    import signal

    hold_the_pool(instance, process())

    class Interrupting(RecordingProgress):
        def report(self, stage: str, done: float, total: float, note: str = "") -> None:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        run_job(instance, KEY, BALANCED, Interrupting())
    run = instance.get_runs(dg.RunsFilter(job_name=JOB))[0]
    assert run.status is RunStatus.CANCELED
