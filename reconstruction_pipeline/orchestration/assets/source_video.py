"""Asset `source_video`."""

from __future__ import annotations

import dagster as dg

from reconstruction_pipeline.artifacts import SourceVideo
from reconstruction_pipeline.orchestration.assets.common import asset_settings
from reconstruction_pipeline.orchestration.ingesting import capture_of
from reconstruction_pipeline.orchestration.pipeline import Pipeline
from reconstruction_pipeline.stages.ingest.settings import GATES


@dg.asset(**asset_settings("source_video", GATES, code_version="1", kinds={"video"}, hardware="cpu", heavy=False))
def source_video(context: dg.AssetExecutionContext, pipeline: Pipeline) -> dg.MaterializeResult[SourceVideo]:
    """The capture as it came in, copied into storage with its probe; its SHA-256 is the data version."""
    return pipeline.run(
        context,
        "reconstruction_pipeline.stages.ingest:ingest",
        args=(capture_of(context.partition_key),),
        gates=GATES,
        returns=SourceVideo,
        data_version_metric="sha256",
    )
