"""From keyframes to calibrated, undistorted images with poses, by structure from motion (COLMAP)."""

from reconstruction_pipeline.stages.poses.settings import PoseSettings
from reconstruction_pipeline.stages.poses.stage import estimate_poses
from reconstruction_pipeline.stages.poses.transforms import transforms_json

__all__ = ["PoseSettings", "estimate_poses", "transforms_json"]
