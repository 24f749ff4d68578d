"""What Dagster loads: composes, and nothing else."""

from __future__ import annotations

import gc

import dagster as dg

from reconstruction_pipeline.orchestration.assets import ASSETS
from reconstruction_pipeline.orchestration.automation import repropagate
from reconstruction_pipeline.orchestration.executors import executor_for
from reconstruction_pipeline.orchestration.io_manager import ArtifactIOManager
from reconstruction_pipeline.orchestration.jobs import reconstruct_video
from reconstruction_pipeline.orchestration.operations.alert_sensor import alerts
from reconstruction_pipeline.orchestration.operations.lost_runs import lost_runs
from reconstruction_pipeline.orchestration.operations.quality_summary import (
    quality_summary,
    quality_weekly,
    summarise_quality,
)
from reconstruction_pipeline.orchestration.operations.retention_job import retention, retention_nightly
from reconstruction_pipeline.orchestration.operations.retire_job import retire_video
from reconstruction_pipeline.orchestration.pipeline import Pipeline
from reconstruction_pipeline.orchestration.sensors import video_uploads
from reconstruction_pipeline.settings import load_settings

defs = dg.Definitions(
    assets=[*ASSETS, quality_summary],
    jobs=[reconstruct_video, retire_video, retention, summarise_quality],
    sensors=[video_uploads, alerts, lost_runs, repropagate],
    schedules=[retention_nightly, quality_weekly],
    resources={"artifacts": ArtifactIOManager(), "pipeline": Pipeline()},
    executor=executor_for(load_settings()),
)

# All of this stays as long as the process. Every step is one, and would spend half a second at its end looking it
# through for garbage.
gc.freeze()
