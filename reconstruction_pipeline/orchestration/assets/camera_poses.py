"""Asset `camera_poses`."""

from __future__ import annotations

import dagster as dg

from reconstruction_pipeline.artifacts import CameraPoses, Keyframes
from reconstruction_pipeline.orchestration.assets.common import asset_settings
from reconstruction_pipeline.orchestration.pipeline import Pipeline
from reconstruction_pipeline.stages.poses.settings import GATES


@dg.asset(**asset_settings("camera_poses", GATES, code_version="1", kinds={"colmap"}, hardware="cpu", heavy=True))
def camera_poses(
    context: dg.AssetExecutionContext, pipeline: Pipeline, keyframes: Keyframes
) -> dg.MaterializeResult[CameraPoses]:
    """Calibrated, undistorted images with camera poses and a sparse cloud, from structure from motion."""
    return pipeline.run(
        context,
        "reconstruction_pipeline.stages.poses:estimate_poses",
        args=(keyframes, pipeline.row.camera_poses),
        gates=GATES,
        returns=CameraPoses,
    )
