"""One capture, from a path on the command line to a finished or stopped scene."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from reconstruction_pipeline.artifacts import SceneReport
from reconstruction_pipeline.artifacts.errors import InputRejected, MissingRequirement, ReconstructionError, StageFailed
from reconstruction_pipeline.artifacts.keys import require_safe_key, video_key
from reconstruction_pipeline.artifacts.progress import Progress
from reconstruction_pipeline.artifacts.store import ArtifactStore
from reconstruction_pipeline.external.descriptor import ASSETS, Program
from reconstruction_pipeline.external.jobs import require_here
from reconstruction_pipeline.external.permission import remark
from reconstruction_pipeline.external.stage import ExternalStage
from reconstruction_pipeline.orchestration.catalog import Catalog, Entry
from reconstruction_pipeline.orchestration.choices import MeshChoices
from reconstruction_pipeline.orchestration.external import programs_of_run
from reconstruction_pipeline.orchestration.ingesting import open_catalog
from reconstruction_pipeline.orchestration.instance import open_instance
from reconstruction_pipeline.orchestration.io_manager import open_store
from reconstruction_pipeline.orchestration.local_run import run_job
from reconstruction_pipeline.orchestration.names import STAGES
from reconstruction_pipeline.orchestration.progress import in_foreground
from reconstruction_pipeline.presets import PoseChoices, preset_named
from reconstruction_pipeline.stages.ingest import content_sha256, probe
from reconstruction_pipeline.stages.mesh.settings import MeshSettings
from reconstruction_pipeline.stages.poses.settings import PoseSettings
from reconstruction_pipeline.stages.splats.devices import choose_device


@dataclass(frozen=True)
class SceneRequest:
    """What to reconstruct and how; `name` None takes the file's name."""

    path: Path
    name: str | None = None
    preset: str = "balanced"
    device: str = "auto"
    accept_failed_gates: bool = False
    again: bool = False
    final_on_all: bool = False
    filmed: PoseChoices = field(default_factory=PoseChoices)
    projection: str = "auto"
    mesh: MeshChoices = field(default_factory=MeshChoices)
    external: Mapping[str, str] = field(default_factory=dict)
    allow_noncommercial: bool = False


@dataclass(frozen=True)
class SceneOutcome:
    """What came of it; `error` says why the line was stopped, if it was."""

    key: str
    folder: Path
    grade: str
    headline: str
    warnings: tuple[str, ...]
    error: ReconstructionError | None = None


def reconstruct_scene(request: SceneRequest, progress: Progress, say: Callable[[str], None]) -> SceneOutcome:
    """Probe, register and run.

    Before anything is registered it raises `UsageError` or `InputRejected` for an unusable input, and
    `MissingRequirement` for a device or an external program that this machine lacks.
    """
    programs = programs_of_run(request.external, request.allow_noncommercial)
    for program in programs.values():
        require_here(ExternalStage(program))
        say(remark(program))
    row = preset_named(request.preset, request.device)
    request.filmed.settings(row.camera_poses)  # says now what the stage would say after minutes
    request.mesh.applied(row.mesh)
    if request.device == "cuda":
        choose_device("cuda")  # says now what training would say after minutes
    probe(request.path)
    sha256 = content_sha256(request.path)
    catalog = open_catalog()
    key = _key_of(request, sha256, catalog)
    store = open_store()
    if not request.again and _is_done(store, key, sha256, request, programs):
        say(f"{key}: the same content was already reconstructed with preset {request.preset}; --again runs it anew.")
        return outcome_of(store, key)
    catalog.register(Entry(key, str(request.path.resolve()), sha256))
    say(f"{key}: reconstructing {request.path} with preset {request.preset}")
    say(f"expect about {row.minutes:g} minutes on two cores, 1 GB of memory and 0.2 GB of disk")
    choices = {
        "preset": request.preset,
        "device": request.device,
        "accept_failed_gates": request.accept_failed_gates,
        "final_on_all": request.final_on_all,
        **_config(request.filmed),
        **({"external": dict(request.external)} if request.external else {}),
        **({"allow_noncommercial": True} if request.allow_noncommercial else {}),
    }
    if stages := _stages(request):
        choices["stages"] = stages
    with in_foreground(progress), open_instance() as instance:
        run = run_job(instance, key, choices, progress)
    if not run.success and _stopping_error(store, key, run.run_id) is None:
        raise StageFailed(f"{key}: run {run.run_id} failed; see it with 'reconstruct ui' or run again with --debug.")
    return outcome_of(store, key, run.run_id)


def outcome_of(store: ArtifactStore, key: str, run_id: str = "") -> SceneOutcome:
    """Read the outcome from the stored report."""
    report = store.load(SceneReport, key)
    numbers = report.all_metrics()
    splats = numbers.get("gaussian_splats") or {}
    parts = [
        f"{splats['psnr_holdout_db']:.2f} dB on held-out views" if splats.get("psnr_holdout_db") else "",
        f"{splats['count']:,} splats" if splats.get("count") else "",
    ]
    return SceneOutcome(
        key=key,
        folder=Path(str(store.root)) / "deliverables" / key,
        grade=numbers["grade"],
        headline=", ".join(part for part in parts if part),
        warnings=tuple(str(item) for item in numbers.get("warnings", ())),
        error=_stopping_error(store, key, run_id) if run_id else None,
    )


def _key_of(request: SceneRequest, sha256: str, catalog: Catalog) -> str:
    """The name asked for; else the one that this content has already; else the file's."""
    if request.name:
        return catalog.name_for(require_safe_key(request.name), sha256)
    known = catalog.holding(sha256)
    return known.key if known else catalog.name_for(video_key(request.path.resolve().name), sha256)


def _is_done(
    store: ArtifactStore, key: str, sha256: str, request: SceneRequest, programs: Mapping[str, Program]
) -> bool:
    if any(store.current_version(stage, key) is None for stage in STAGES):
        return False
    numbers = store.load(SceneReport, key).all_metrics()
    splats = numbers.get("gaussian_splats") or {}
    return bool(
        numbers.get("source_sha256") == sha256
        and numbers.get("preset") == request.preset
        and splats.get("final_on_all", False) == request.final_on_all
        and _filmed_alike(store.manifest("camera_poses", key).provenance.settings, request.filmed)
        and store.manifest("keyframes", key).provenance.settings.get("projection", "auto") == request.projection
        and _meshed_alike(store.manifest("mesh", key).provenance.settings, request.mesh)
        and all(_made_by(store, stage, key) == _digest(programs.get(stage)) for stage in ASSETS.values())
        and numbers.get("grade") != "F"
    )


def _made_by(store: ArtifactStore, stage: str, key: str) -> str:
    """The descriptor of the external program that made a stage, "" for our own."""
    settings = store.manifest(stage, key).provenance.settings
    return str((settings.get("external") or {}).get("descriptor", "")) if stage in ASSETS.values() else ""


def _digest(program: Program | None) -> str:
    return program.digest if program else ""


def _stages(request: SceneRequest) -> dict[str, Any]:
    """What was chosen for single stages."""
    keyframes = {} if request.projection == "auto" else {"projection": request.projection}
    chosen = {"keyframes": keyframes, "mesh": request.mesh.chosen()}
    return {stage: options for stage, options in chosen.items() if options}


def _config(filmed: PoseChoices) -> dict[str, Any]:
    """What differs from the defaults, as the resource `pipeline` is configured."""
    given = {name: value for name, value in asdict(filmed).items() if value != getattr(PoseChoices(), name)}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in given.items()}


def _filmed_alike(settings: Mapping[str, Any], filmed: PoseChoices) -> bool:
    """Whether poses were made with these choices; `settings` are those stored with them."""
    usual, wanted = asdict(PoseSettings()), asdict(filmed.settings(PoseSettings()))
    return all(
        json.dumps(settings.get(name, usual[name])) == json.dumps(wanted[name]) for name in asdict(PoseChoices())
    )


def _meshed_alike(settings: Mapping[str, Any], chosen: MeshChoices) -> bool:
    """Whether a mesh was made of what was chosen; `settings` are those stored with it."""
    usual, wanted = asdict(MeshSettings()), asdict(chosen.applied(MeshSettings()))
    return all(settings.get(name, usual[name]) == wanted[name] for name in ("crop", "without_table", "usdz"))


def _stopping_error(store: ArtifactStore, key: str, run_id: str) -> ReconstructionError | None:
    """The first stage of this run that refused or whose gate blocked, as the error of the command line."""
    for stage in STAGES:
        failure = store.failure(stage, key)
        if failure and failure.run_id == run_id:
            errors = {2: InputRejected, 4: MissingRequirement}
            return errors.get(failure.exit_code, StageFailed)(failure.sentence)
        if store.current_version(stage, key) is None:
            continue
        manifest = store.manifest(stage, key)
        accepted = manifest.metrics.get("accepted_failed_gates", False)
        if manifest.provenance.run_id == run_id and not manifest.verdict.ok and not accepted:
            rejected = stage in ("source_video", "keyframes")
            return (InputRejected if rejected else StageFailed)(f"{key}: {manifest.verdict.sentence()}")
    return None
