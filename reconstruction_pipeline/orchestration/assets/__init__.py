"""One thin module per asset; the work is in `reconstruction_pipeline.stages`."""

from reconstruction_pipeline.orchestration.assets.camera_poses import camera_poses
from reconstruction_pipeline.orchestration.assets.compressed_splats import compressed_splats
from reconstruction_pipeline.orchestration.assets.depth_maps import depth_maps
from reconstruction_pipeline.orchestration.assets.gaussian_splats import gaussian_splats
from reconstruction_pipeline.orchestration.assets.keyframes import keyframes
from reconstruction_pipeline.orchestration.assets.mesh import mesh
from reconstruction_pipeline.orchestration.assets.scene_report import scene_report
from reconstruction_pipeline.orchestration.assets.source_video import source_video

ASSETS = [
    source_video,
    keyframes,
    camera_poses,
    depth_maps,
    gaussian_splats,
    mesh,
    compressed_splats,
    scene_report,
]

__all__ = [
    "ASSETS",
    "camera_poses",
    "compressed_splats",
    "depth_maps",
    "gaussian_splats",
    "keyframes",
    "mesh",
    "scene_report",
    "source_video",
]
