"""Places in Dagster's pools, for runs that this machine's command line executes.

A killed process cannot give back its place, and Dagster's in-process executor spins while it waits for one;
both are mended here.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

import dagster as dg

PROCESS_TAG = "reconstruction/process"
POLL_SECONDS = 0.5
RELEASE_SECONDS = 10.0


def process_tags(run_id: str) -> dict[str, str]:
    """Tags of a run executed by this process: the run, host, process id and when that process began.

    The run's own id is among them because the UI copies tags to the runs that repeat it elsewhere.
    """
    return {PROCESS_TAG: f"{run_id}:{socket.gethostname()}:{os.getpid()}:{_birth(os.getpid())}"}


def release_places_of_dead_runs(instance: dg.DagsterInstance) -> None:
    """End runs whose process on this machine is gone (killed), and give back their places in the pools."""
    unfinished = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.CANCELING]
    for run in instance.get_runs(dg.RunsFilter(statuses=unfinished)):
        if _is_dead(run):
            instance.report_run_failed(run, message="Its process was killed.")
            instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)


def release_places_of_ended_runs(instance: dg.DagsterInstance, pool: str) -> None:
    """Give back the pool's places that runs kept beyond their end: killed, they could not do it themselves.

    Dagster's run monitoring does so too, but looks only every two minutes unless told otherwise.
    """
    info = instance.event_log_storage.get_concurrency_info(pool)
    for run_id in info.active_run_ids | info.assigned_run_ids:
        run = instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            instance.event_log_storage.free_concurrency_slots_for_run(run_id)


def wait_for_place(
    instance: dg.DagsterInstance, pool: str, run_id: str, interrupted: Callable[[], bool], say: Callable[[str], None]
) -> None:
    """Sleep while other runs hold every place of the pool; returns early when `interrupted()`.

    A run that holds a place itself does not wait: its own step will give it back.
    """
    looked = 0.0
    while not interrupted():
        info = instance.event_log_storage.get_concurrency_info(pool)
        served = info.active_run_ids | info.assigned_run_ids
        if run_id in served or not served:
            return
        say(f"for a place in pool '{pool}', held by run {', '.join(sorted(name[:8] for name in served))}")
        if time.monotonic() - looked > RELEASE_SECONDS:
            release_places_of_dead_runs(instance)
            looked = time.monotonic()
        time.sleep(POLL_SECONDS)


def _is_dead(run: dg.DagsterRun) -> bool:
    run_id, host, pid, birth = (run.tags.get(PROCESS_TAG, "").split(":") + [""] * 4)[:4]
    here = run_id == run.run_id and host == socket.gethostname() and pid.isdigit()
    return here and not _lives(int(pid), birth)


def _lives(pid: int, birth: str) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return not birth or birth == _birth(pid)


def _birth(pid: int) -> str:
    """Start time of a process in clock ticks since boot, "" where `/proc` does not tell, "dead" for a zombie.

    Process ids are used again, soon after a reboot at the latest.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return ""
    return "dead" if fields[0] == "Z" else fields[19]
