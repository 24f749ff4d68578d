"""Making, storing and delivering the report, for a finished line and for a stopped one."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import metadata

from reconstruction_pipeline import __version__
from reconstruction_pipeline.artifacts import Artifact, SceneReport
from reconstruction_pipeline.artifacts.failure import StageFailure
from reconstruction_pipeline.artifacts.store import ArtifactStore
from reconstruction_pipeline.orchestration.deliverables import available
from reconstruction_pipeline.orchestration.io_manager import KINDS
from reconstruction_pipeline.orchestration.names import STAGES
from reconstruction_pipeline.report import ReportInputs

PACKAGES = ("dagster", "torch", "gsplat", "pycolmap", "numba", "numpy", "opencv-python-headless", "av", "open3d-cpu")


def versions() -> dict[str, str]:
    """Versions of this package and of those that decide results; absent ones are left out."""
    found = {"reconstruction_pipeline": __version__}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def report_inputs(
    key: str, preset: str, artifacts: Mapping[str, Artifact], failures: Mapping[str, StageFailure] | None = None
) -> ReportInputs:
    """What the report is drawn from; its links are the deliverables beside it."""
    links = {name: name for name in (*available(artifacts), "metrics.json") if "/" not in name}
    if "streamed" in links:
        links["streamed"] = "streamed/index.html"
    return ReportInputs(key, preset, dict(artifacts), dict(failures or {}), versions(), links)


def reached(store: ArtifactStore, key: str, *, without: str) -> dict[str, Artifact]:
    """Current artifacts of a line except those of the stage `without` and of what was made from older inputs."""
    found: dict[str, Artifact] = {}
    for stage in STAGES:
        if stage in (without, SceneReport.KIND) or store.current_version(stage, key) is None:
            continue
        artifact = store.load(KINDS[stage], key)
        if all(name in found and found[name].version == v for name, v in artifact.provenance.inputs.items()):
            found[stage] = artifact
    return found
