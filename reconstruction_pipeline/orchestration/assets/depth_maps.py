"""Asset `depth_maps`."""

import dagster as dg

from reconstruction_pipeline.artifacts import CameraPoses, DepthMaps
from reconstruction_pipeline.orchestration import gates
from reconstruction_pipeline.orchestration.assets.common import asset_settings
from reconstruction_pipeline.orchestration.pipeline import Pipeline
from reconstruction_pipeline.settings import load_settings


@dg.asset(**asset_settings(DepthMaps, gates.DEPTH_MAPS, code_version="1", kinds={"numba"}, hardware="cpu", heavy=True))
def depth_maps(
    context: dg.AssetExecutionContext, pipeline: Pipeline, camera_poses: CameraPoses
) -> dg.MaterializeResult:
    """Depth per image from multi-view stereo, in the poses' scale; gaps filled by a monocular model if there is one."""
    places = load_settings()
    return pipeline.run(
        context,
        "reconstruction_pipeline.stages.depth:estimate_depth",
        args=(camera_poses, pipeline.row.depth_maps),
        options={"weights_folder": places.weights, "depth_model": places.depth_model},
        gates=gates.DEPTH_MAPS,
        returns=DepthMaps,
    )
