"""The resource behind every asset: the choices of a run, and the one way a stage is executed."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import dagster as dg
from pydantic import Field

from reconstruction_pipeline.artifacts import Artifact, SceneReport
from reconstruction_pipeline.artifacts.base import Provenance
from reconstruction_pipeline.artifacts.errors import Cancelled, ReconstructionError, StageFailed
from reconstruction_pipeline.artifacts.failure import StageFailure
from reconstruction_pipeline.artifacts.store import ArtifactStore
from reconstruction_pipeline.orchestration.checks import GateNames, check_results
from reconstruction_pipeline.orchestration.deliverables import deliver
from reconstruction_pipeline.orchestration.io_manager import open_store
from reconstruction_pipeline.orchestration.names import STAGES
from reconstruction_pipeline.orchestration.progress import progress_for
from reconstruction_pipeline.orchestration.reporting import report_inputs
from reconstruction_pipeline.orchestration.stage_process import StageCall, TransientFailure, run_stage_process
from reconstruction_pipeline.orchestration.stopped import publish_stopped_report
from reconstruction_pipeline.presets import Preset, preset_named

A = TypeVar("A", bound=Artifact)


class Pipeline(dg.ConfigurableResource):
    """What a person chooses for a run, in the UI's launchpad or on the command line."""

    preset: str = Field(default="balanced", description="fastest | balanced | quality")
    device: str = Field(default="auto", description="auto | cpu | cuda")
    accept_failed_gates: bool = Field(
        default=False, description="Go on although a blocking gate failed; recorded in every artifact made so."
    )

    @property
    def row(self) -> Preset:
        """The preset's settings for every stage, for this run's device."""
        return preset_named(self.preset, self.device)

    def run(
        self,
        context: dg.AssetExecutionContext,
        entry: str,
        *,
        args: tuple[Any, ...],
        gates: GateNames,
        returns: type[A],
        options: Mapping[str, Any] | None = None,
        data_version_metric: str | None = None,
    ) -> dg.MaterializeResult:
        """Run the stage function `entry(*args, workspace, progress=…, **options)` in a child process.

        Returns its artifact with metrics, provenance and gate results. A refusal by the stage is remembered,
        explained in `report.html`, and not retried; nor is a bug. What another attempt may cure is raised as it is.
        """
        try:
            return self._run(context, StageCall(entry, args, options or {}), gates, returns, data_version_metric)
        except (Cancelled, TransientFailure, dg.Failure, OSError):
            raise
        except Exception as error:
            raise dg.Failure(f"unexpected {type(error).__name__}: {error}", allow_retries=False) from error

    def _run(
        self,
        context: dg.AssetExecutionContext,
        call: StageCall,
        gates: GateNames,
        returns: type[A],
        data_version_metric: str | None,
    ) -> dg.MaterializeResult:
        stage, key = context.asset_key.path[-1], context.partition_key
        started = time.monotonic()
        store = open_store()
        inputs = [arg for arg in call.args if isinstance(arg, Artifact)]
        try:
            self._refuse_failed(inputs)
            call = replace(call, args=(*call.args, store.workspace(stage, key)))
            outcome = run_stage_process(call, progress_for(context.log.info))
        except Cancelled:
            raise
        except ReconstructionError as error:
            failure = StageFailure(stage, str(error), error.exit_code, run_id=context.run.run_id)
            store.record_failure(key, failure)
            publish_stopped_report(context, self.preset, failure=failure)
            raise dg.Failure(description=str(error), allow_retries=False) from error
        if not isinstance(outcome.value, returns):
            raise TypeError(f"{call.entry} must return {returns.__name__}, not {type(outcome.value).__name__}.")
        metrics = {
            "backend": "cpu",
            "fallback_level": 0,
            **outcome.value.metrics,
            "seconds": round(time.monotonic() - started, 2),
            "peak_rss_mb": outcome.peak_rss_mb,
            **({"accepted_failed_gates": True} if self.accept_failed_gates else {}),
        }
        settings = next((asdict(arg) for arg in call.args if _is_settings(arg)), {})
        artifact = replace(outcome.value, metrics=metrics, provenance=self._provenance(context, inputs, settings))
        earlier = _failure_of_run(store, key, context.run.run_id)
        if earlier or not (artifact.verdict.ok or self.accept_failed_gates):
            publish_stopped_report(context, self.preset, failure=earlier, artifact=artifact)
        data_version = dg.DataVersion(str(metrics[data_version_metric])) if data_version_metric else None
        results = check_results(gates, artifact.verdict, self.accept_failed_gates)
        return dg.MaterializeResult(value=artifact, check_results=results, data_version=data_version)

    def report(self, context: dg.AssetExecutionContext, made: Mapping[str, Artifact]) -> dg.MaterializeResult:
        """Build the report of a finished line and gather its deliverables."""
        key, store = context.partition_key, open_store()
        inputs = report_inputs(key, self.preset, made)
        workspace = store.workspace(SceneReport.KIND, key)
        call = StageCall("reconstruction_pipeline.report:build_report", (inputs, workspace))
        outcome = run_stage_process(call, progress_for(context.log.info))
        provenance = self._provenance(context, list(made.values()), {})
        report = replace(outcome.value, provenance=provenance)
        deliver(str(store.root), key, {**made, SceneReport.KIND: report})
        return dg.MaterializeResult(value=report)

    def checkpoint_folder(self, context: dg.AssetExecutionContext, *inputs: Artifact) -> Path:
        """Where a stage may keep its state across attempts: one folder for each set of inputs and preset."""
        versions = "-".join(item.version for item in inputs)
        name = f"{context.asset_key.path[-1]}-{context.partition_key}-{self.preset}-{versions}"
        return open_store().scratch / "checkpoints" / name

    def _provenance(
        self, context: dg.AssetExecutionContext, inputs: list[Artifact], settings: Mapping[str, Any]
    ) -> Provenance:
        return Provenance(
            inputs={item.KIND: item.version for item in inputs},
            settings={"preset": self.preset, **settings},
            code_version=context.assets_def.code_versions_by_key.get(context.asset_key) or "",
            run_id=context.run.run_id,
        )

    def _refuse_failed(self, inputs: list[Artifact]) -> None:
        for item in inputs:
            if not item.verdict.ok and not self.accept_failed_gates:
                raise StageFailed(f"the {item.KIND} it needs failed its gates: {item.verdict.sentence()}")


def _failure_of_run(store: ArtifactStore, key: str, run_id: str) -> StageFailure | None:
    """A stage beside this one that failed in the same run: `scene_report` will then not be reached."""
    found = (store.failure(stage, key) for stage in STAGES)
    return next((failure for failure in found if failure and failure.run_id == run_id), None)


def _is_settings(arg: object) -> bool:
    return is_dataclass(arg) and not isinstance(arg, type) and not isinstance(arg, Artifact)
