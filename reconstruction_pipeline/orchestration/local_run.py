"""Runs the job for one video in this process, as a run that the UI knows as one of its own.

Dagster's public in-process API makes runs without an origin, which the UI can show but not re-execute, and it
takes Ctrl-C for a failure worth a retry. The private imports that mend this are in this module only.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import dagster as dg
from dagster._core.definitions.reconstruct import ReconstructableRepository
from dagster._core.execution.api import execute_run_iterator
from dagster._core.remote_origin import (
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.storage.tags import PARTITION_NAME_TAG
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._utils.error import SerializableErrorInfo
from dagster._utils.interrupts import check_captured_interrupt, pop_captured_interrupt

from reconstruction_pipeline.artifacts.progress import NullProgress, Progress
from reconstruction_pipeline.orchestration.executors import IN_PROCESS_CONFIG
from reconstruction_pipeline.orchestration.names import JOB, VIDEOS
from reconstruction_pipeline.orchestration.pool_places import (
    process_tags,
    release_places_of_dead_runs,
    wait_for_place,
)

# The code location of `workspace.yaml`. Named and not imported, as Dagster does: definitions import us.
LOCATION = "reconstruction_pipeline"
MODULE = "reconstruction_pipeline.definitions"
QUIET = {"console": {"config": {"log_level": "CRITICAL"}}}
INTERRUPTS = ("KeyboardInterrupt", "DagsterExecutionInterruptedError")


@dataclass(frozen=True)
class LocalRun:
    """How a run ended."""

    run_id: str
    success: bool


def run_job(
    instance: dg.DagsterInstance, key: str, pipeline: Mapping[str, Any], progress: Progress | None = None
) -> LocalRun:
    """Execute `reconstruct_video` for a partition; `pipeline` configures the resource of that name.

    Adds the partition if needed. Ctrl-C ends the run as canceled and raises `KeyboardInterrupt`.
    `progress` hears of waiting for other runs; the stages find theirs by `progress.in_foreground`.
    """
    release_places_of_dead_runs(instance)
    instance.add_dynamic_partitions(VIDEOS, [key])
    job = ReconstructableRepository.for_module(MODULE, "defs").get_reconstructable_job(JOB)
    run = instance.create_run_for_job(
        job_def=job.get_definition(),
        run_config={
            "resources": {"pipeline": {"config": dict(pipeline)}},
            "execution": IN_PROCESS_CONFIG,
            "loggers": QUIET,
        },
        tags={PARTITION_NAME_TAG: key},
        remote_job_origin=_origin(),
        job_code_origin=job.get_python_origin(),
    )
    instance.add_run_tags(run.run_id, process_tags(run.run_id))
    events = cast(Generator[dg.DagsterEvent, None, None], execute_run_iterator(job, run, instance))
    try:
        interrupted = _follow(events, instance, run, progress or NullProgress())
    finally:
        events.close()
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
        ended = instance.get_run_by_id(run.run_id)
        if ended and not ended.is_finished:
            instance.report_run_canceled(ended, message="Interrupted on the command line.")
    if interrupted:
        raise KeyboardInterrupt
    return LocalRun(run.run_id, bool(ended and ended.is_success))


def _follow(
    events: Generator[dg.DagsterEvent, None, None], instance: dg.DagsterInstance, run: dg.DagsterRun, progress: Progress
) -> bool:
    """Drive the run to its end; whether it was interrupted.

    Dagster lets an interrupt through only inside a step, and its retry policy then makes it an attempt to be
    repeated. Thrown in from here between two events, it ends the run as canceled.
    """
    for event in events:
        if pool := _pool_waited_for(event):
            wait_for_place(
                instance,
                pool,
                run.run_id,
                check_captured_interrupt,
                lambda note: progress.report("waiting", 0, 0, note),
            )
        if _shows_interrupt(event) or pop_captured_interrupt():
            instance.report_run_canceling(run, message="Ctrl-C on the command line.")
            try:
                events.throw(KeyboardInterrupt())
                for _ in events:
                    pass
            except StopIteration:
                pass
            return True
        if event.is_step_up_for_retry:
            progress.report("waiting", 0, 0, f"to try {event.step_key} again")
    return False


def _pool_waited_for(event: dg.DagsterEvent) -> str:
    """The pool whose places are all taken, if that is what the event says."""
    found = event.engine_event_data.metadata.get("pool") if event.is_engine_event else None
    return str(found.value) if found else ""


def _shows_interrupt(event: dg.DagsterEvent) -> bool:
    """Whether the event is of a step that Ctrl-C ended, or would have repeated."""
    error: SerializableErrorInfo | None = getattr(event.event_specific_data, "error", None)
    while error:
        if error.cls_name in INTERRUPTS:
            return True
        error = error.cause
    return False


def _origin() -> RemoteJobOrigin:
    """Where the UI finds this job."""
    target = LoadableTargetOrigin(module_name=MODULE, executable_path=None)
    location = ManagedGrpcPythonEnvCodeLocationOrigin(target, LOCATION)
    return RemoteJobOrigin(RemoteRepositoryOrigin(location, "__repository__"), JOB)
