"""Asset `gaussian_splats`."""

import dagster as dg

from reconstruction_pipeline.artifacts import CameraPoses, DepthMaps, GaussianSplats
from reconstruction_pipeline.orchestration import gates
from reconstruction_pipeline.orchestration.assets.common import asset_settings
from reconstruction_pipeline.orchestration.pipeline import Pipeline
from reconstruction_pipeline.settings import load_settings


@dg.asset(
    **asset_settings(
        GaussianSplats, gates.GAUSSIAN_SPLATS, code_version="1", kinds={"numba"}, hardware="gpu", heavy=True
    )
)
def gaussian_splats(
    context: dg.AssetExecutionContext, pipeline: Pipeline, camera_poses: CameraPoses, depth_maps: DepthMaps
) -> dg.MaterializeResult:
    """The trained scene; held-out views say how good it is. An interrupted training goes on where it stopped."""
    return pipeline.run(
        context,
        "reconstruction_pipeline.stages.splats:gaussian_splats",
        args=(camera_poses, depth_maps, pipeline.row.gaussian_splats),
        options={
            "checkpoint_folder": pipeline.checkpoint_folder(context, camera_poses, depth_maps),
            "weights_folder": load_settings().weights,
        },
        gates=gates.GAUSSIAN_SPLATS,
        returns=GaussianSplats,
    )
