"""Sensor `lost_runs`: ends runs whose process is gone, where Dagster cannot tell.

Containers and pods are asked after by Dagster's run monitoring. A run that is a process of this machine is not: killed,
it would stay "started" for ever and keep its place in the pool. The sensor is evaluated by the code server, which is
the process that starts such runs, and so on the same machine.
"""

import os
from pathlib import Path

import dagster as dg

from reconstruction_pipeline.orchestration.names import GPU_POOL
from reconstruction_pipeline.orchestration.pool_places import (
    release_places_of_dead_runs,
    release_places_of_ended_runs,
)

STARTED = "Started process for run"
AT_WORK = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.CANCELING]
CLOCK_SLACK_SECONDS = 2.0
SENTENCE = (
    "The run's process is gone: it was killed, or the machine was out of memory or restarted. What its stages had"
    " stored is kept; re-execute the run from its failure."
)


@dg.sensor(
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Fails runs whose process on this machine is gone, and gives back their places in pools.",
)
def lost_runs(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """One tick: look after every run that should be at work."""
    instance = context.instance
    release_places_of_dead_runs(instance)  # those of the command line
    release_places_of_ended_runs(instance, GPU_POOL)  # the code server fails its own children, and no more than that
    if instance.run_launcher.supports_check_run_worker_health:
        return dg.SkipReason("Run monitoring looks after the runs of this deployment.")
    lost = [run for run in instance.get_runs(dg.RunsFilter(statuses=AT_WORK)) if is_lost(instance, run)]
    for run in lost:
        instance.report_run_failed(run, message=SENTENCE)
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
        context.log.warning(f"run {run.run_id} has lost its process")
    return dg.SkipReason(f"{len(lost)} runs have lost their process.")


def is_lost(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether the run said which process it is, and there is no such process any more.

    Two daemons by mistake may start two for one run, of which one sees that the other is at work and ends.
    """
    started = []
    for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT):
        event = entry.dagster_event
        if event and (event.message or "").startswith(STARTED):
            pid = event.engine_event_data.metadata.get("pid")
            started.append(pid is None or lives(int(str(pid.value)), entry.timestamp))
    return bool(started) and not any(started)


def lives(pid: int, began_before: float) -> bool:
    """Whether a process of this id that began before a POSIX time still runs; ids are used again."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except FileNotFoundError:
        return not Path("/proc/stat").exists() and _answers(pid)
    boot = next(line for line in Path("/proc/stat").read_text().splitlines() if line.startswith("btime"))
    began = int(boot.split()[1]) + int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return fields[0] != "Z" and began <= began_before + CLOCK_SLACK_SECONDS


def _answers(pid: int) -> bool:
    """Where there is no `/proc`."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
