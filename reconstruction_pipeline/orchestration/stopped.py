"""The report of a line that stopped: written by the step that stopped it, however the run was started."""

from __future__ import annotations

from dataclasses import replace

import dagster as dg

from reconstruction_pipeline.artifacts import Artifact, SceneReport
from reconstruction_pipeline.artifacts.base import Provenance
from reconstruction_pipeline.artifacts.failure import StageFailure
from reconstruction_pipeline.artifacts.progress import NullProgress
from reconstruction_pipeline.orchestration.deliverables import deliver
from reconstruction_pipeline.orchestration.io_manager import open_store
from reconstruction_pipeline.orchestration.metadata import metadata_of
from reconstruction_pipeline.orchestration.reporting import reached, report_inputs
from reconstruction_pipeline.report import build_report


def publish_stopped_report(
    context: dg.AssetExecutionContext,
    preset: str,
    *,
    failure: StageFailure | None = None,
    artifact: Artifact | None = None,
) -> None:
    """Store, deliver and materialize `scene_report` for what the line has reached.

    Give the `failure` of a stage that made nothing, and the `artifact` that this step made but has not stored.
    """
    key = context.partition_key
    store = open_store()
    stopped_at = failure.stage if failure else context.asset_key.path[-1]
    artifacts = reached(store, key, without=stopped_at) | ({artifact.KIND: artifact} if artifact else {})
    failures = {failure.stage: failure} if failure else {}
    workspace = store.workspace(SceneReport.KIND, key)
    report = build_report(report_inputs(key, preset, artifacts, failures), workspace, NullProgress())
    versions = {name: item.version for name, item in artifacts.items()}
    stored = store.publish(
        key, replace(report, provenance=Provenance(versions, {"preset": preset}, "", context.run.run_id))
    )
    deliver(str(store.root), key, {**artifacts, SceneReport.KIND: stored})
    metadata = metadata_of(stored) | {"stopped_at": stopped_at}
    context.log_event(dg.AssetMaterialization(SceneReport.KIND, partition=key, metadata=metadata))
