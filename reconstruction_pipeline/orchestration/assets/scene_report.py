"""Asset `scene_report`."""

import dagster as dg

from reconstruction_pipeline.artifacts import (
    CameraPoses,
    CompressedSplats,
    DepthMaps,
    GaussianSplats,
    Keyframes,
    Mesh,
    SceneReport,
    SourceVideo,
)
from reconstruction_pipeline.orchestration import gates
from reconstruction_pipeline.orchestration.assets.common import asset_settings
from reconstruction_pipeline.orchestration.pipeline import Pipeline


@dg.asset(
    **asset_settings(SceneReport, gates.SCENE_REPORT, code_version="1", kinds={"html"}, hardware="cpu", heavy=False)
)
def scene_report(
    context: dg.AssetExecutionContext,
    pipeline: Pipeline,
    source_video: SourceVideo,
    keyframes: Keyframes,
    camera_poses: CameraPoses,
    depth_maps: DepthMaps,
    gaussian_splats: GaussianSplats,
    mesh: Mesh,
    compressed_splats: CompressedSplats,
) -> dg.MaterializeResult:
    """The report for people, the metrics for programs, and the deliverables folder."""
    made = (source_video, keyframes, camera_poses, depth_maps, gaussian_splats, mesh, compressed_splats)
    return pipeline.report(context, {artifact.KIND: artifact for artifact in made})
