"""Runs the job for one video in this process, as a run that the UI knows as one of its own.

Dagster's public in-process API makes runs without an origin, which the UI can show but not re-execute.
The private imports that mend this are in this module only.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import dagster as dg
from dagster._core.execution.api import execute_run
from dagster._core.remote_origin import (
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.storage.tags import PARTITION_NAME_TAG
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

from reconstruction_pipeline.orchestration.executors import IN_PROCESS_CONFIG
from reconstruction_pipeline.orchestration.names import JOB, VIDEOS

LOCATION = "reconstruction_pipeline"
MODULE = "reconstruction_pipeline.definitions"
PROCESS_TAG = "reconstruction/process"
QUIET = {"console": {"config": {"log_level": "CRITICAL"}}}


def load_job() -> dg.JobDefinition:
    """The job, for `reconstructable`."""
    from reconstruction_pipeline.definitions import defs

    return defs.get_repository_def().get_job(JOB)


@dataclass(frozen=True)
class LocalRun:
    """How a run ended."""

    run_id: str
    success: bool


def run_job(instance: dg.DagsterInstance, key: str, pipeline: Mapping[str, Any]) -> LocalRun:
    """Execute `reconstruct_video` for a partition; `pipeline` configures the resource of that name.

    Adds the partition if needed. A `KeyboardInterrupt` ends the run as canceled and is raised again.
    """
    release_slots_of_dead_runs(instance)
    instance.add_dynamic_partitions(VIDEOS, [key])
    job = dg.reconstructable(load_job)
    run_config = {
        "resources": {"pipeline": {"config": dict(pipeline)}},
        "execution": IN_PROCESS_CONFIG,
        "loggers": QUIET,
    }
    run = instance.create_run_for_job(
        job_def=job.get_definition(),
        run_config=run_config,
        tags={PARTITION_NAME_TAG: key, PROCESS_TAG: _this_process()},
        remote_job_origin=_origin(),
        job_code_origin=job.get_python_origin(),
    )
    try:
        result = execute_run(job, run, instance, raise_on_error=False)
    except BaseException:
        stopped = instance.get_run_by_id(run.run_id)
        if stopped and not stopped.is_finished:
            instance.report_run_canceled(stopped, message="Interrupted on the command line.")
        raise
    finally:
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
    return LocalRun(run.run_id, result.success)


def release_slots_of_dead_runs(instance: dg.DagsterInstance) -> None:
    """End runs whose process on this machine is gone (killed), and give back their places in the pools."""
    unfinished = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.CANCELING]
    for run in instance.get_runs(dg.RunsFilter(statuses=unfinished)):
        host, _, pid = run.tags.get(PROCESS_TAG, "").rpartition(":")
        if host == socket.gethostname() and not _alive(int(pid)):
            instance.report_run_failed(run, message="Its process was killed.")
            instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)


def _this_process() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _origin() -> RemoteJobOrigin:
    """Where the UI finds this job: the code location of `workspace.yaml`."""
    target = LoadableTargetOrigin(module_name=MODULE, executable_path=None)
    location = ManagedGrpcPythonEnvCodeLocationOrigin(target, LOCATION)
    return RemoteJobOrigin(RemoteRepositoryOrigin(location, "__repository__"), JOB)
