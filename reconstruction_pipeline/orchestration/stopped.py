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
    """Store, deliver and materialize `scene_report` for the stages reached so far.

    Give the `failure` of a stage that made nothing, or the `artifact` whose blocking gate failed.
    """
    stage, key = context.asset_key.path[-1], context.partition_key
    store = open_store()
    artifacts = reached(store, key, until=stage) | ({stage: artifact} if artifact else {})
    failures = {stage: failure} if failure else {}
    workspace = store.workspace(SceneReport.KIND, key)
    report = build_report(report_inputs(key, preset, artifacts, failures), workspace, NullProgress())
    provenance = Provenance({name: item.version for name, item in artifacts.items()}, {"preset": preset}, "", context.run_id)
    stored = store.publish(key, replace(report, provenance=provenance))
    deliver(str(store.root), key, {SceneReport.KIND: stored})
    context.log_event(
        dg.AssetMaterialization(SceneReport.KIND, partition=key, metadata=metadata_of(stored) | {"stopped_at": stage})
    )
