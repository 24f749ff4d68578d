"""Asset `camera_poses`."""

import dagster as dg

from reconstruction_pipeline.artifacts import CameraPoses, Keyframes
from reconstruction_pipeline.orchestration import gates
from reconstruction_pipeline.orchestration.assets.common import asset_settings
from reconstruction_pipeline.orchestration.pipeline import Pipeline


@dg.asset(
    **asset_settings(CameraPoses, gates.CAMERA_POSES, code_version="1", kinds={"colmap"}, hardware="cpu", heavy=True)
)
def camera_poses(context: dg.AssetExecutionContext, pipeline: Pipeline, keyframes: Keyframes) -> dg.MaterializeResult:
    """Calibrated, undistorted images with camera poses and a sparse cloud, from structure from motion."""
    return pipeline.run(
        context,
        "reconstruction_pipeline.stages.poses:estimate_poses",
        args=(keyframes, pipeline.row.camera_poses),
        gates=gates.CAMERA_POSES,
        returns=CameraPoses,
    )
