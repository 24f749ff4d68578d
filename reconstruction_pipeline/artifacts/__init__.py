"""What passes between stages: frozen, typed, lazy, each with a standard on-disk form and its gates' verdict."""

from reconstruction_pipeline.artifacts.base import Artifact
from reconstruction_pipeline.artifacts.camera_poses import CameraPoses
from reconstruction_pipeline.artifacts.compressed_splats import CompressedSplats
from reconstruction_pipeline.artifacts.depth_maps import DepthMap, DepthMaps
from reconstruction_pipeline.artifacts.gaussian_splats import Gaussians, GaussianSplats
from reconstruction_pipeline.artifacts.keyframes import Keyframes
from reconstruction_pipeline.artifacts.mesh import Mesh
from reconstruction_pipeline.artifacts.scene_report import SceneReport
from reconstruction_pipeline.artifacts.source_video import SourceVideo
from reconstruction_pipeline.artifacts.verdict import Gate, Verdict

__all__ = [
    "Artifact",
    "CameraPoses",
    "CompressedSplats",
    "DepthMap",
    "DepthMaps",
    "Gate",
    "GaussianSplats",
    "Gaussians",
    "Keyframes",
    "Mesh",
    "SceneReport",
    "SourceVideo",
    "Verdict",
]
