"""Asset `compressed_splats`."""

from dataclasses import replace

import dagster as dg

from reconstruction_pipeline.artifacts import CameraPoses, CompressedSplats, GaussianSplats
from reconstruction_pipeline.orchestration import gates
from reconstruction_pipeline.orchestration.assets.common import asset_settings
from reconstruction_pipeline.orchestration.pipeline import Pipeline


@dg.asset(
    **asset_settings(
        CompressedSplats, gates.COMPRESSED_SPLATS, code_version="1", kinds={"numba"}, hardware="cpu", heavy=True
    )
)
def compressed_splats(
    context: dg.AssetExecutionContext, pipeline: Pipeline, gaussian_splats: GaussianSplats, camera_poses: CameraPoses
) -> dg.MaterializeResult:
    """Small files for the web, decoded and measured again, and a page that shows the scene."""
    return pipeline.run(
        context,
        "reconstruction_pipeline.stages.compression.stage:compress_splats",
        args=(gaussian_splats, camera_poses, replace(pipeline.row.compressed_splats, title=context.partition_key)),
        gates=gates.COMPRESSED_SPLATS,
        returns=CompressedSplats,
    )
