"""Names that Dagster's users, configuration files and tests rely on."""

from __future__ import annotations

import dagster as dg

VIDEOS = "videos"
videos = dg.DynamicPartitionsDefinition(name=VIDEOS)

GPU_POOL = "gpu"
HARDWARE_TAG = "reconstruction/hardware"
JOB = "reconstruct_video"
RETIRE_JOB = "retire_video"
RETENTION = "retention"
QUALITY_SUMMARY = "quality_summary"
GROUP = "reconstruction"
OPERATIONS = "operations"
OWNERS = ["team:reconstruction"]

STAGES = (
    "source_video",
    "keyframes",
    "camera_poses",
    "depth_maps",
    "gaussian_splats",
    "mesh",
    "compressed_splats",
    "scene_report",
)
