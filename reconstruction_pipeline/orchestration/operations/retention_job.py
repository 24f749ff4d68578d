"""Job and schedule `retention`: a report of what may be deleted, and, where told to, its deletion."""

from datetime import UTC, datetime, timedelta

import dagster as dg
from pydantic import Field

from reconstruction_pipeline.artifacts.store import KEEP_VERSIONS
from reconstruction_pipeline.artifacts.superseded import GRACE
from reconstruction_pipeline.orchestration.io_manager import open_store
from reconstruction_pipeline.orchestration.names import HARDWARE_TAG, RETENTION
from reconstruction_pipeline.orchestration.operations.retention import Deletion, deletions
from reconstruction_pipeline.orchestration.runs import keys_in_use
from reconstruction_pipeline.settings import load_settings

GRACE_HOURS = GRACE / timedelta(hours=1)
ROWS = 200


class RetentionChoices(dg.Config):
    """What is kept, and whether anything is deleted."""

    dry_run: bool = Field(default=True, description="Only report; nothing is deleted.")
    keep_versions: int = Field(
        default=KEEP_VERSIONS, ge=1, le=1000, description="Newest versions of every artifact that stay in any case."
    )
    grace_hours: float = Field(
        default=GRACE_HOURS,
        ge=GRACE_HOURS,
        le=10_000,
        description="Hours for which a replaced version stays: a step that reads it may take as long.",
    )
    scratch_hours: float = Field(
        default=7 * GRACE_HOURS,
        ge=GRACE_HOURS,
        le=10_000,
        description="Hours after which unused work in progress goes: checkpoints, remains of killed stages, caches.",
    )


@dg.op(tags={HARDWARE_TAG: "cpu"})
def apply_retention(context: dg.OpExecutionContext, config: RetentionChoices) -> None:
    """Report what may be deleted, and delete it unless this is a dry run.

    What belongs to a video with an unfinished run stays. The figures plot over runs.
    """
    due = list(
        deletions(
            open_store(),
            datetime.now(UTC),
            config.keep_versions,
            timedelta(hours=config.grace_hours),
            timedelta(hours=config.scratch_hours),
            keys_in_use(context.instance),
        )
    )
    if not config.dry_run:
        for item in due:
            context.log.info(f"deleting {item.path}: {item.reason}")
            item.delete()
    context.add_output_metadata(
        {
            "dry_run": config.dry_run,
            "folders": len(due),
            "bytes": sum(item.bytes for item in due),
            "what": _table(due),
        }
    )


def _table(due: list[Deletion]) -> dg.TableMetadataValue:
    """The largest first, at most `ROWS` of them."""
    largest = sorted(due, key=lambda item: -item.bytes)[:ROWS]
    return dg.MetadataValue.table(
        records=[
            dg.TableRecord({"kind": item.kind, "bytes": item.bytes, "path": item.path, "reason": item.reason})
            for item in largest
        ],
        schema=dg.TableSchema(
            [
                dg.TableColumn("kind", "string"),
                dg.TableColumn("bytes", "int"),
                dg.TableColumn("path", "string"),
                dg.TableColumn("reason", "string"),
            ]
        ),
    )


@dg.job(
    name=RETENTION,
    description="Report, or delete, old versions of artifacts and unused work in progress.",
    executor_def=dg.in_process_executor,
)
def retention() -> None:
    """Old versions and unused work in progress."""
    apply_retention()


@dg.schedule(
    job=retention,
    name=f"{RETENTION}_nightly",
    cron_schedule="30 3 * * *",
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description="Every night. Only reports, unless RECONSTRUCTION_RETENTION=delete.",
)
def retention_nightly() -> dg.RunRequest:
    """A dry run, unless the settings ask for deletion."""
    config = {"dry_run": not load_settings().operation.retention_deletes}
    return dg.RunRequest(run_config={"ops": {"apply_retention": {"config": config}}})
