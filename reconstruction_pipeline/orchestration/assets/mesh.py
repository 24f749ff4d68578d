"""Asset `mesh`."""

import dagster as dg

from reconstruction_pipeline.artifacts import CameraPoses, DepthMaps, GaussianSplats, Mesh
from reconstruction_pipeline.orchestration import gates
from reconstruction_pipeline.orchestration.assets.common import asset_settings
from reconstruction_pipeline.orchestration.pipeline import Pipeline


@dg.asset(**asset_settings(Mesh, gates.MESH, code_version="2", kinds={"open3d"}, hardware="cpu", heavy=True))
def mesh(
    context: dg.AssetExecutionContext,
    pipeline: Pipeline,
    gaussian_splats: GaussianSplats,
    camera_poses: CameraPoses,
    depth_maps: DepthMaps,
) -> dg.MaterializeResult:
    """The scene's surface, fused from depth rendered out of the splats and depth measured between the pictures."""
    return pipeline.run(
        context,
        "reconstruction_pipeline.stages.mesh:extract_mesh",
        args=(gaussian_splats, camera_poses, pipeline.row.mesh),
        gates=gates.MESH,
        returns=Mesh,
        options={"depth_maps": depth_maps},
    )
