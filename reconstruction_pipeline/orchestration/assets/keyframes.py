"""Asset `keyframes`."""

import dagster as dg

from reconstruction_pipeline.artifacts import Keyframes, SourceVideo
from reconstruction_pipeline.orchestration import gates
from reconstruction_pipeline.orchestration.assets.common import asset_settings
from reconstruction_pipeline.orchestration.pipeline import Pipeline


@dg.asset(**asset_settings(Keyframes, gates.KEYFRAMES, code_version="1", kinds={"opencv"}, hardware="cpu", heavy=False))
def keyframes(context: dg.AssetExecutionContext, pipeline: Pipeline, source_video: SourceVideo) -> dg.MaterializeResult:
    """The sharp, well-spread frames that the reconstruction is made from."""
    return pipeline.run(
        context,
        "reconstruction_pipeline.stages.keyframes:select_keyframes",
        args=(source_video, pipeline.row.keyframes),
        gates=gates.KEYFRAMES,
        returns=Keyframes,
    )
