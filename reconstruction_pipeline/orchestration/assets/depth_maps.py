"""Asset `depth_maps`."""

import dagster as dg

from reconstruction_pipeline.artifacts import CameraPoses, DepthMaps
from reconstruction_pipeline.orchestration import gates
from reconstruction_pipeline.orchestration.assets.common import asset_settings
from reconstruction_pipeline.orchestration.pipeline import Pipeline


@dg.asset(**asset_settings(DepthMaps, gates.DEPTH_MAPS, code_version="1", kinds={"numba"}, hardware="cpu", heavy=True))
def depth_maps(
    context: dg.AssetExecutionContext, pipeline: Pipeline, camera_poses: CameraPoses
) -> dg.MaterializeResult:
    """Depth per image from multi-view stereo, in the poses' scale."""
    return pipeline.run(
        context,
        "reconstruction_pipeline.stages.depth:estimate_depth",
        args=(camera_poses, pipeline.row.depth_maps),
        gates=gates.DEPTH_MAPS,
        returns=DepthMaps,
    )
