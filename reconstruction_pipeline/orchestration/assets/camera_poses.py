"""Asset `camera_poses`."""

from dataclasses import replace

import dagster as dg

from reconstruction_pipeline.artifacts import CameraPoses, Keyframes
from reconstruction_pipeline.orchestration import gates
from reconstruction_pipeline.orchestration.assets.common import asset_settings
from reconstruction_pipeline.orchestration.external import fallback_poses
from reconstruction_pipeline.orchestration.pipeline import Pipeline
from reconstruction_pipeline.stages.poses.settings import PoseSettings


@dg.asset(
    **asset_settings(CameraPoses, gates.CAMERA_POSES, code_version="1", kinds={"colmap"}, hardware="cpu", heavy=True)
)
def camera_poses(context: dg.AssetExecutionContext, pipeline: Pipeline, keyframes: Keyframes) -> dg.MaterializeResult:
    """Calibrated, undistorted images with camera poses and a sparse cloud, from structure from motion."""
    return pipeline.run(
        context,
        "reconstruction_pipeline.stages.poses:estimate_poses",
        args=(keyframes, with_external_stage(pipeline.row.camera_poses)),
        gates=gates.CAMERA_POSES,
        returns=CameraPoses,
    )


def with_external_stage(settings: PoseSettings) -> PoseSettings:
    """The program that this deployment has for captures that COLMAP fails on, unless the settings name one."""
    return settings if settings.external else replace(settings, external=fallback_poses())
