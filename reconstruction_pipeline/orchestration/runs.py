"""Questions about runs that more than one module asks."""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg

PARTITION_TAG = "dagster/partition"
UNFINISHED = (
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)


def unfinished_runs_of(instance: dg.DagsterInstance, key: str, besides: str = "") -> Sequence[dg.DagsterRun]:
    """Runs of a video that wait or work, except the one with the id `besides`."""
    found = instance.get_runs(dg.RunsFilter(tags={PARTITION_TAG: key}, statuses=list(UNFINISHED)))
    return [run for run in found if run.run_id != besides]


def keys_in_use(instance: dg.DagsterInstance) -> set[str]:
    """Videos that an unfinished run works on."""
    found = instance.get_runs(dg.RunsFilter(statuses=list(UNFINISHED)))
    return {run.tags[PARTITION_TAG] for run in found if PARTITION_TAG in run.tags}
