"""The resource behind every asset: the choices of a run, and the one way a stage is executed."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

import dagster as dg
from pydantic import Field

from reconstruction_pipeline.artifacts import Artifact, SceneReport
from reconstruction_pipeline.artifacts.base import Provenance
from reconstruction_pipeline.artifacts.errors import Cancelled, ReconstructionError, StageFailed
from reconstruction_pipeline.artifacts.failure import StageFailure
from reconstruction_pipeline.artifacts.patience import patiently
from reconstruction_pipeline.artifacts.progress import Progress
from reconstruction_pipeline.artifacts.store import ArtifactStore
from reconstruction_pipeline.external.permission import remark
from reconstruction_pipeline.external.stage import ExternalStage
from reconstruction_pipeline.orchestration.checks import GateNames, check_results
from reconstruction_pipeline.orchestration.choices import Choices
from reconstruction_pipeline.orchestration.deliverables import deliver
from reconstruction_pipeline.orchestration.external import options_of
from reconstruction_pipeline.orchestration.hardware.leases import lease_one
from reconstruction_pipeline.orchestration.hardware.places import place_of_step
from reconstruction_pipeline.orchestration.io_manager import open_store
from reconstruction_pipeline.orchestration.limits import MAX_FACTOR, limit_of_program, limit_seconds
from reconstruction_pipeline.orchestration.names import STAGES
from reconstruction_pipeline.orchestration.progress import progress_for
from reconstruction_pipeline.orchestration.reporting import report_inputs
from reconstruction_pipeline.orchestration.retries import last_attempt_is_final, no_retry
from reconstruction_pipeline.orchestration.stage_process import StageCall, StageOutcome, run_stage_process
from reconstruction_pipeline.orchestration.still_wanted import StillWanted
from reconstruction_pipeline.orchestration.stopped import publish_stopped_report
from reconstruction_pipeline.presets import PoseChoices, Preset, preset_named

A = TypeVar("A", bound=Artifact)


class Pipeline(dg.ConfigurableResource):
    """What a person chooses for a run, in the UI's launchpad or on the command line."""

    preset: Literal["fastest", "balanced", "quality"] = Field(
        default="balanced", description="What a scene may cost: on two cores about 1, 3 or 25 minutes."
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="Where training runs; auto takes a GPU where there is one."
    )
    accept_failed_gates: bool = Field(
        default=False, description="Go on although a blocking gate failed; recorded in every artifact made so."
    )

    final_on_all: bool = Field(
        default=False, description="After the measured scene, train another on every view and deliver that one."
    )
    camera_height_m: float | None = Field(
        default=None, description="How high the camera was over the floor or table it saw, metres; sets the scale."
    )
    known_distance: list[str] = Field(
        default=[],
        description="Two places of the camera and the metres between them; sets the scale. A place is a moment of the "
        "video, a photo or a keyframe: [0s, 12.5s, '3.2'].",
    )
    path_length_m: float | None = Field(
        default=None, description="How long the way of the camera was, metres (videos only); sets the scale."
    )
    given_poses: str = Field(
        default="use", description="use | ignore: camera poses that came with the capture (COLMAP, transforms.json)"
    )
    use_gps: bool = Field(default=True, description="Place the scene in metres by the GPS that came with the capture.")
    turntable: bool = Field(
        default=False,
        description="A thing on a turntable before a camera that stands still: leave out what stands still, and assume "
        "a circle where all else fails.",
    )
    time_limit_factor: float = Field(
        default=1.0, gt=0, le=MAX_FACTOR, description="Multiplies the time after which a stage is stopped (0 to 3)."
    )
    external: dict[str, str] = Field(
        default={},
        description="Stages done by programs that are not ours: poses, training, meshing or compression to a "
        "descriptor's name or path (docs/external.md).",
    )
    allow_noncommercial: bool = Field(
        default=False, description="Allow external programs whose licences forbid commercial use: this run is none."
    )
    stages: Choices = Field(default=Choices(), description="Settings of single stages, in place of the preset's.")

    @property
    def row(self) -> Preset:
        """The settings of every stage, for this run's device: the preset's, and what was chosen in their place."""
        with no_retry():
            return self._row()

    def _row(self) -> Preset:
        row = self.stages.applied(preset_named(self.preset, self.device))
        filmed = PoseChoices(
            self.camera_height_m,
            tuple(self.known_distance),
            self.path_length_m,
            self.given_poses,
            self.use_gps,
            self.turntable,
        )
        return replace(
            row,
            camera_poses=filmed.settings(row.camera_poses),
            gaussian_splats=replace(row.gaussian_splats, final_on_all=self.final_on_all),
        )

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
            read = (*call.args, *(value for value in call.options.values() if isinstance(value, Artifact)))
            provenance = self._provenance(context, read, call.options.get("external"))
            artifact = replace(outcome.value, metrics=metrics, provenance=provenance)
            earlier = patiently(
                lambda: _failure_of_run(store, context.partition_key, context.run.run_id), far=not store.is_local
            )
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
                options = {**options, **self._external(context, store, stage)}
                call = self._call(stage, entry, args() if callable(args) else args, options)
                self._refuse_failed(call.args)
                return call, _placed(context, store, self.device, call)
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
        inputs = report_inputs(key, self.preset, made)
        with no_retry():
            call = self._call(SceneReport.KIND, "reconstruction_pipeline.report:build_report", (inputs,), {})
            outcome = _placed(context, store, self.device, call)
            report = replace(outcome.value, provenance=self._provenance(context, tuple(made.values())))
            deliver(str(store.root), key, {**made, SceneReport.KIND: report})
        return dg.MaterializeResult(value=report)

    def checkpoint_folder(self, context: dg.AssetExecutionContext, *inputs: Artifact) -> Path:
        """Where a stage may keep its state across attempts: one folder for each set of inputs and preset."""
        versions = "-".join(item.version for item in inputs)
        name = f"{context.asset_key.path[-1]}-{self.preset}-{versions}"
        return open_store().scratch / "checkpoints" / context.partition_key / name

    def _call(self, stage: str, entry: str, args: tuple[Any, ...], options: Mapping[str, Any]) -> StageCall:
        limit = limit_seconds(stage, self.row, self.time_limit_factor)
        if external := options.get("external"):
            limit = limit_of_program(external.program, limit)
        return StageCall(entry, args, options, limit_s=limit)

    def _external(self, context: dg.AssetExecutionContext, store: ArtifactStore, stage: str) -> dict[str, Any]:
        """The option `external` of a stage that a program was chosen for; who does it is said in the log."""
        logs = store.scratch / "logs" / context.partition_key
        options = options_of(stage, self.external, self.allow_noncommercial, logs)
        if options:
            context.log.info(remark(options["external"].program))
        return dict(options)

    def _provenance(
        self, context: dg.AssetExecutionContext, args: tuple[Any, ...], external: ExternalStage | None = None
    ) -> Provenance:
        settings = next((asdict(arg) for arg in args if is_dataclass(arg) and not isinstance(arg, Artifact | type)), {})
        return Provenance(
            inputs={arg.KIND: arg.version for arg in args if isinstance(arg, Artifact)},
            settings={"preset": self.preset, **settings, **({"external": external.identity()} if external else {})},
            code_version=context.assets_def.code_versions_by_key.get(context.asset_key) or "",
            run_id=context.run.run_id,
        )

    def _refuse_failed(self, args: tuple[Any, ...]) -> None:
        for arg in args:
            if isinstance(arg, Artifact) and not arg.verdict.ok and not self.accept_failed_gates:
                raise StageFailed(f"the {arg.KIND} it needs failed its gates: {arg.verdict.sentence()}")


def _placed(context: dg.AssetExecutionContext, store: ArtifactStore, device: str, call: StageCall) -> StageOutcome:
    """Run a call where the step may: on a card and on cores that no other step of this machine uses."""
    progress = progress_for(context.log.info)

    def say(note: str) -> None:
        progress.report("waiting", 0, 0, note)

    with (
        _alone_with_checkpoints(store, context.partition_key, call, say),
        place_of_step(context, store.scratch, device, say) as place,
    ):
        placed = replace(call, environment=place.environment, cores=place.cores)
        return _in_workspace(context, store, placed, progress)


def _in_workspace(
    context: dg.AssetExecutionContext, store: ArtifactStore, call: StageCall, progress: Progress
) -> StageOutcome:
    """Run a call with a new workspace as its last argument; an unfinished one is removed."""
    workspace = store.workspace(context.asset_key.path[-1], context.partition_key)
    watched = StillWanted(progress, context.instance, context.run.run_id)
    try:
        return run_stage_process(replace(call, args=(*call.args, workspace)), watched)
    except BaseException:
        shutil.rmtree(workspace, ignore_errors=True)
        raise


@contextmanager
def _alone_with_checkpoints(
    store: ArtifactStore, key: str, call: StageCall, say: Callable[[str], None]
) -> Iterator[None]:
    """Where a stage keeps checkpoints, one process of this machine at a time works on a video's."""
    if "checkpoint_folder" not in call.options:
        yield
        return
    with lease_one(store.scratch / "leases", [f"checkpoints-{key}"], say):
        yield


def _failure_of_run(store: ArtifactStore, key: str, run_id: str) -> StageFailure | None:
    """A stage beside this one that failed in the same run: `scene_report` will then not be reached."""
    found = (store.failure(stage, key) for stage in STAGES)
    return next((failure for failure in found if failure and failure.run_id == run_id), None)
