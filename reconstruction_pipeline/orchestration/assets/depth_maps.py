"""Asset `depth_maps`."""

from __future__ import annotations

import dagster as dg

from reconstruction_pipeline.artifacts import CameraPoses, DepthMaps
from reconstruction_pipeline.orchestration.assets.common import asset_settings
from reconstruction_pipeline.orchestration.pipeline import Pipeline
from reconstruction_pipeline.stages.depth.settings import GATES


@dg.asset(**asset_settings("depth_maps", GATES, code_version="1", kinds={"numba"}, hardware="cpu", heavy=True))
def depth_maps(
    context: dg.AssetExecutionContext, pipeline: Pipeline, camera_poses: CameraPoses
) -> dg.MaterializeResult[DepthMaps]:
    """Depth per image from multi-view stereo, in the poses' scale."""
    return pipeline.run(
        context,
        "reconstruction_pipeline.stages.depth:estimate_depth",
        args=(camera_poses, pipeline.row.depth_maps),
        gates=GATES,
        returns=DepthMaps,
    )
