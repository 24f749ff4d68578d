"""Asset `mesh`."""

from __future__ import annotations

import dagster as dg

from reconstruction_pipeline.artifacts import CameraPoses, GaussianSplats, Mesh
from reconstruction_pipeline.orchestration.assets.common import asset_settings
from reconstruction_pipeline.orchestration.pipeline import Pipeline
from reconstruction_pipeline.stages.mesh.settings import GATES


@dg.asset(**asset_settings("mesh", GATES, code_version="1", kinds={"open3d"}, hardware="cpu", heavy=True))
def mesh(
    context: dg.AssetExecutionContext, pipeline: Pipeline, gaussian_splats: GaussianSplats, camera_poses: CameraPoses
) -> dg.MaterializeResult[Mesh]:
    """The scene's surface, fused from depth rendered out of the splats."""
    return pipeline.run(
        context,
        "reconstruction_pipeline.stages.mesh:extract_mesh",
        args=(gaussian_splats, camera_poses, pipeline.row.mesh),
        gates=GATES,
        returns=Mesh,
    )
