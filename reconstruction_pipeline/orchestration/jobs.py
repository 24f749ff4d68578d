"""The job that takes a video from upload to report."""

from __future__ import annotations

import dagster as dg

from reconstruction_pipeline.orchestration.names import GROUP, JOB

reconstruct_video = dg.define_asset_job(
    JOB,
    selection=dg.AssetSelection.groups(GROUP),
    description="Everything, from the capture to the report, for one video (one partition).",
)
