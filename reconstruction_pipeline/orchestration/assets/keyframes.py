"""Asset `keyframes`."""

from __future__ import annotations

import dagster as dg

from reconstruction_pipeline.artifacts import Keyframes, SourceVideo
from reconstruction_pipeline.orchestration.assets.common import asset_settings
from reconstruction_pipeline.orchestration.pipeline import Pipeline
from reconstruction_pipeline.stages.keyframes.settings import GATES


@dg.asset(**asset_settings("keyframes", GATES, code_version="1", kinds={"opencv"}, hardware="cpu", heavy=False))
def keyframes(
    context: dg.AssetExecutionContext, pipeline: Pipeline, source_video: SourceVideo
) -> dg.MaterializeResult[Keyframes]:
    """The sharp, well-spread frames that the reconstruction is made from."""
    return pipeline.run(
        context,
        "reconstruction_pipeline.stages.keyframes:select_keyframes",
        args=(source_video, pipeline.row.keyframes),
        gates=GATES,
        returns=Keyframes,
    )
