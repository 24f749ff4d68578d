"""What Dagster loads: composes, and nothing else."""

from __future__ import annotations

import dagster as dg

from reconstruction_pipeline.orchestration.assets import ASSETS
from reconstruction_pipeline.orchestration.executors import local_processes
from reconstruction_pipeline.orchestration.io_manager import ArtifactIOManager
from reconstruction_pipeline.orchestration.jobs import reconstruct_video
from reconstruction_pipeline.orchestration.pipeline import Pipeline
from reconstruction_pipeline.orchestration.sensors import video_uploads

defs = dg.Definitions(
    assets=ASSETS,
    jobs=[reconstruct_video],
    sensors=[video_uploads],
    resources={"artifacts": ArtifactIOManager(), "pipeline": Pipeline()},
    executor=local_processes,
)
