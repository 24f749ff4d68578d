"""The resource behind every asset: the choices of a run, and the one way a stage is executed."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, is_dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import dagster as dg
from pydantic import Field

from reconstruction_pipeline.artifacts import Artifact, SceneReport
from reconstruction_pipeline.artifacts.base import Provenance
from reconstruction_pipeline.artifacts.errors import Cancelled, ReconstructionError, StageFailed
from reconstruction_pipeline.artifacts.failure import StageFailure
from reconstruction_pipeline.artifacts.progress import Progress
from reconstruction_pipeline.artifacts.store import ArtifactStore
from reconstruction_pipeline.orchestration.checks import GateNames, check_results
from reconstruction_pipeline.orchestration.deliverables import deliver
from reconstruction_pipeline.orchestration.io_manager import open_store
from reconstruction_pipeline.orchestration.names import STAGES
from reconstruction_pipeline.orchestration.progress import progress_for
from reconstruction_pipeline.orchestration.reporting import report_inputs
from reconstruction_pipeline.orchestration.retries import last_attempt_is_final, no_retry
from reconstruction_pipeline.orchestration.stage_process import StageCall, StageOutcome, run_stage_process
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

    final_on_all: bool = Field(
        default=False, description="After the measured scene, train another on every view and deliver that one."
    )

    @property
    def row(self) -> Preset:
        """The preset's settings for every stage, for this run's device."""
        row = preset_named(self.preset, self.device)
        return replace(row, gaussian_splats=replace(row.gaussian_splats, final_on_all=self.final_on_all))

    def run(
        self,
        context: dg.AssetExecutionContext,
        entry: str,
        *,
        args: tuple[Any, ...] | Callable[[], tuple[Any, ...]],
        gates: GateNames,
        returns: type[A],
        options: Mapping[str, Any] | None = None,
        data_version_metric: str | None = None,
    ) -> dg.MaterializeResult:
        """Run the stage function `entry(*args, workspace, progress=…, **options)` in a child process.

        Returns its artifact with metrics, provenance and gate results. A refusal by the stage, or by a function
        that finds its `args`, is remembered, explained in `report.html`, and not retried; nor is a bug. What
        another attempt may cure is raised as it is, until the attempts are used up.
        """
        with no_retry():
            store, started = open_store(), time.monotonic()
            call, outcome = self._execute(context, store, entry, args, options or {})
            if not isinstance(outcome.value, returns):
                raise TypeError(f"{entry} must return {returns.__name__}, not {type(outcome.value).__name__}.")
            metrics = {
                "backend": "cpu",
                "fallback_level": 0,
                **outcome.value.metrics,
                "seconds": round(time.monotonic() - started, 2),
                "peak_rss_mb": outcome.peak_rss_mb,
                **({"accepted_failed_gates": True} if self.accept_failed_gates else {}),
            }
            artifact = replace(outcome.value, metrics=metrics, provenance=self._provenance(context, call.args))
            earlier = _failure_of_run(store, context.partition_key, context.run.run_id)
            if earlier or not (artifact.verdict.ok or self.accept_failed_gates):
                publish_stopped_report(context, self.preset, failure=earlier, artifact=artifact)
            data_version = dg.DataVersion(str(metrics[data_version_metric])) if data_version_metric else None
            results = check_results(gates, artifact.verdict, self.accept_failed_gates)
            return dg.MaterializeResult(value=artifact, check_results=results, data_version=data_version)

    def _execute(
        self,
        context: dg.AssetExecutionContext,
        store: ArtifactStore,
        entry: str,
        args: tuple[Any, ...] | Callable[[], tuple[Any, ...]],
        options: Mapping[str, Any],
    ) -> tuple[StageCall, StageOutcome]:
        """The call as it was made, and its outcome; a refusal is remembered and reported before it is raised."""
        stage, key = context.asset_key.path[-1], context.partition_key
        try:
            with last_attempt_is_final(context):
                call = StageCall(entry, args() if callable(args) else args, options)
                self._refuse_failed(call.args)
                return call, _in_workspace(store, stage, key, call, progress_for(context.log.info))
        except Cancelled:
            raise
        except ReconstructionError as error:
            failure = StageFailure(stage, str(error), error.exit_code, run_id=context.run.run_id)
            store.record_failure(key, failure)
            publish_stopped_report(context, self.preset, failure=failure)
            raise dg.Failure(description=str(error), allow_retries=False) from error

    def report(self, context: dg.AssetExecutionContext, made: Mapping[str, Artifact]) -> dg.MaterializeResult:
        """Build the report of a finished line and gather its deliverables."""
        key, store = context.partition_key, open_store()
        call = StageCall("reconstruction_pipeline.report:build_report", (report_inputs(key, self.preset, made),))
        with no_retry():
            outcome = _in_workspace(store, SceneReport.KIND, key, call, progress_for(context.log.info))
            report = replace(outcome.value, provenance=self._provenance(context, tuple(made.values())))
            deliver(str(store.root), key, {**made, SceneReport.KIND: report})
        return dg.MaterializeResult(value=report)

    def checkpoint_folder(self, context: dg.AssetExecutionContext, *inputs: Artifact) -> Path:
        """Where a stage may keep its state across attempts: one folder for each set of inputs and preset."""
        versions = "-".join(item.version for item in inputs)
        name = f"{context.asset_key.path[-1]}-{context.partition_key}-{self.preset}-{versions}"
        return open_store().scratch / "checkpoints" / name

    def _provenance(self, context: dg.AssetExecutionContext, args: tuple[Any, ...]) -> Provenance:
        settings = next((asdict(arg) for arg in args if is_dataclass(arg) and not isinstance(arg, Artifact | type)), {})
        return Provenance(
            inputs={arg.KIND: arg.version for arg in args if isinstance(arg, Artifact)},
            settings={"preset": self.preset, **settings},
            code_version=context.assets_def.code_versions_by_key.get(context.asset_key) or "",
            run_id=context.run.run_id,
        )

    def _refuse_failed(self, args: tuple[Any, ...]) -> None:
        for arg in args:
            if isinstance(arg, Artifact) and not arg.verdict.ok and not self.accept_failed_gates:
                raise StageFailed(f"the {arg.KIND} it needs failed its gates: {arg.verdict.sentence()}")


def _in_workspace(store: ArtifactStore, stage: str, key: str, call: StageCall, progress: Progress) -> StageOutcome:
    """Run a call with a new workspace as its last argument; an unfinished one is removed."""
    workspace = store.workspace(stage, key)
    try:
        return run_stage_process(replace(call, args=(*call.args, workspace)), progress)
    except BaseException:
        shutil.rmtree(workspace, ignore_errors=True)
        raise


def _failure_of_run(store: ArtifactStore, key: str, run_id: str) -> StageFailure | None:
    """A stage beside this one that failed in the same run: `scene_report` will then not be reached."""
    found = (store.failure(stage, key) for stage in STAGES)
    return next((failure for failure in found if failure and failure.run_id == run_id), None)
