"""Asset `compressed_splats`."""

from __future__ import annotations

import dagster as dg

from reconstruction_pipeline.artifacts import CameraPoses, CompressedSplats, GaussianSplats
from reconstruction_pipeline.orchestration.assets.common import asset_settings
from reconstruction_pipeline.orchestration.pipeline import Pipeline
from reconstruction_pipeline.stages.compression.settings import GATES


@dg.asset(**asset_settings("compressed_splats", GATES, code_version="1", kinds={"numba"}, hardware="cpu", heavy=True))
def compressed_splats(
    context: dg.AssetExecutionContext, pipeline: Pipeline, gaussian_splats: GaussianSplats, camera_poses: CameraPoses
) -> dg.MaterializeResult[CompressedSplats]:
    """Small files for the web, decoded and measured again, and a page that shows the scene."""
    return pipeline.run(
        context,
        "reconstruction_pipeline.stages.compression:compress_splats",
        args=(gaussian_splats, camera_poses, pipeline.row.compressed_splats),
        gates=GATES,
        returns=CompressedSplats,
    )
