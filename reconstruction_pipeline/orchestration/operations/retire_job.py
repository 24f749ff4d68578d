"""Job `retire_video`: the documented way to forget a video."""

import dagster as dg
from pydantic import Field

from reconstruction_pipeline.gallery import refresh_gallery
from reconstruction_pipeline.orchestration.ingesting import open_catalog
from reconstruction_pipeline.orchestration.io_manager import open_store
from reconstruction_pipeline.orchestration.names import HARDWARE_TAG, RETIRE_JOB, VIDEOS, videos
from reconstruction_pipeline.orchestration.operations.retire import holdings
from reconstruction_pipeline.orchestration.runs import unfinished_runs_of


class RetireChoices(dg.Config):
    """What to retire, and how far."""

    dry_run: bool = Field(default=False, description="Only list what would be deleted.")


@dg.op(tags={HARDWARE_TAG: "cpu"})
def retire(context: dg.OpExecutionContext, config: RetireChoices) -> None:
    """Delete the artifacts, deliverables, work in progress and ingest record of the partition, then the partition.

    Refuses while another run of the video is unfinished. The file in the upload folder is left alone, and is
    not ingested again unless it changes or is copied there anew.
    """
    key = context.partition_key
    if busy := unfinished_runs_of(context.instance, key, besides=context.run_id):
        raise dg.Failure(
            f"{key}: run {', '.join(run.run_id[:8] for run in busy)} is not finished; wait for it or cancel it first.",
            allow_retries=False,
        )
    store = open_store()
    found = holdings(store, open_catalog(), key)
    for item in found:
        context.log.info(f"{'would delete' if config.dry_run else 'deleting'} {item.what} ({item.bytes:,} bytes)")
        if not config.dry_run:
            item.delete()
    if not config.dry_run:
        if (store.root / "deliverables").exists():
            refresh_gallery(store.root / "deliverables")
        context.instance.delete_dynamic_partition(VIDEOS, key)
    context.add_output_metadata(
        {
            "video": key,
            "dry_run": config.dry_run,
            "bytes": sum(item.bytes for item in found),
            "items": len(found),
        }
    )


@dg.job(
    name=RETIRE_JOB,
    partitions_def=videos,
    description="Forget a video: its artifacts, deliverables, work in progress, ingest record and partition.",
    executor_def=dg.in_process_executor,
)
def retire_video() -> None:
    """Forget one video (one partition); a backfill over several forgets them all."""
    retire()
