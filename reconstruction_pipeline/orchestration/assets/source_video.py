"""Asset `source_video`."""

import dagster as dg

from reconstruction_pipeline.artifacts import SourceVideo
from reconstruction_pipeline.orchestration import gates
from reconstruction_pipeline.orchestration.assets.common import asset_settings
from reconstruction_pipeline.orchestration.ingesting import capture_of, drop_fetched
from reconstruction_pipeline.orchestration.pipeline import Pipeline


@dg.asset(
    **asset_settings(SourceVideo, gates.SOURCE_VIDEO, code_version="1", kinds={"video"}, hardware="cpu", heavy=False)
)
def source_video(context: dg.AssetExecutionContext, pipeline: Pipeline) -> dg.MaterializeResult:
    """The capture as it came in, copied into storage with its probe; its SHA-256 is the data version."""
    try:
        return pipeline.run(
            context,
            "reconstruction_pipeline.stages.ingest:ingest",
            args=lambda: (capture_of(context.partition_key),),
            gates=gates.SOURCE_VIDEO,
            returns=SourceVideo,
            data_version_metric="sha256",
        )
    finally:
        drop_fetched(context.partition_key)
