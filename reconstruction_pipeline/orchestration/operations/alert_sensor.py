"""Sensor `alerts`: posts failed runs and failed gates to the webhook of the settings.

Not Dagster's run-failure sensor: that one moves on although a message could not be delivered, and sees no gates
of runs that succeeded with warnings. This one keeps its own place and tries again at the next tick.
"""

import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime

import dagster as dg

from reconstruction_pipeline.artifacts.errors import StageFailed
from reconstruction_pipeline.orchestration.operations.alerts import Alert, FailedGate, post, shortened
from reconstruction_pipeline.orchestration.runs import PARTITION_TAG
from reconstruction_pipeline.settings import load_settings

RUNS_PER_TICK = 20
REMEMBERED = 100
OVERLAP_SECONDS = 5.0  # clocks of several machines write these times
WATCHED = [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.SUCCESS]


@dg.sensor(
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Posts failed runs and failed gates to RECONSTRUCTION_WEBHOOK; does nothing where that is not set.",
)
def alerts(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """One tick: the runs that ended since the last one, oldest first, each told of once.

    When a post cannot be delivered, the tick fails and the next one begins with that run again.
    """
    operation = load_settings().operation
    if not operation.webhook or not context.cursor:
        # Nothing that ended before somebody wanted to be told is told.
        context.update_cursor(json.dumps({"since": time.time(), "after": time.time(), "told": []}))
        return dg.SkipReason("From now on." if operation.webhook else "RECONSTRUCTION_WEBHOOK is not set.")
    place = json.loads(context.cursor)
    posted = 0
    for record in _ended_after(context.instance, place["after"] - OVERLAP_SECONDS, RUNS_PER_TICK + len(place["told"])):
        run = record.dagster_run
        # A tag given later makes an old run look new.
        if run.run_id not in place["told"] and (record.end_time or 0.0) >= place["since"]:
            if alert := alert_of(context.instance, run, operation.ui_url):
                try:
                    post(operation.webhook, [alert])
                except StageFailed:
                    if not posted:
                        raise
                    break
                posted += 1
            place["told"] = [*place["told"], run.run_id][-REMEMBERED:]
        place["after"] = max(place["after"], record.update_timestamp.timestamp())
    context.update_cursor(json.dumps(place))
    return dg.SkipReason(f"{posted} alerts posted.")


def _ended_after(instance: dg.DagsterInstance, seconds: float, limit: int) -> Sequence[dg.RunRecord]:
    """Runs that ended, or changed after their end, since a POSIX time; oldest first."""
    after = datetime.fromtimestamp(seconds, UTC)
    watched = dg.RunsFilter(statuses=WATCHED, updated_after=after)
    return instance.get_run_records(watched, limit=limit, order_by="update_timestamp", ascending=True)


def alert_of(instance: dg.DagsterInstance, run: dg.DagsterRun, ui_url: str) -> Alert | None:
    """What there is to tell of an ended run; None for one that succeeded with every gate passed."""
    kinds = {dg.DagsterEventType.ASSET_CHECK_EVALUATION, dg.DagsterEventType.STEP_FAILURE}
    kinds |= {dg.DagsterEventType.RUN_FAILURE}
    events = [entry.dagster_event for entry in instance.all_logs(run.run_id, of_type=kinds) if entry.dagster_event]
    gates = tuple(gate for event in events if (gate := _failed_gate(event)))
    failed = run.status is dg.DagsterRunStatus.FAILURE
    if not failed and not gates:
        return None
    return Alert(
        event="run_failed" if failed else "gates_failed",
        video=run.tags.get(PARTITION_TAG, ""),
        sentence=_sentence(events) if failed else "",
        run_id=run.run_id,
        job=run.job_name,
        url=f"{ui_url}/runs/{run.run_id}" if ui_url else "",
        gates=gates,
    )


def _failed_gate(event: dg.DagsterEvent) -> FailedGate | None:
    if event.event_type is not dg.DagsterEventType.ASSET_CHECK_EVALUATION:
        return None
    found = event.asset_check_evaluation_data
    if found.passed:
        return None
    name = f"{found.asset_key.path[-1]}.{found.check_name}"
    return FailedGate(name, found.severity is dg.AssetCheckSeverity.ERROR, found.description or "")


def _sentence(events: list[dg.DagsterEvent]) -> str:
    """What the first failed step said; else what the run said."""
    for event in events:
        if event.event_type is dg.DagsterEventType.STEP_FAILURE:
            data = event.step_failure_data
            said = data.user_failure_data.description if data.user_failure_data else None
            error = data.error.cause or data.error if data.error else None
            return f"{event.step_key}: {shortened(said or (error.message.strip() if error else 'failed'))}"
    return shortened(next((event.message or "" for event in events), ""))
