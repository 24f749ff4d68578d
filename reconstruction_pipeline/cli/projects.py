"""The posed project that `train`, `evaluate` and `render` are given."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from reconstruction_pipeline.artifacts.errors import Cancelled
from reconstruction_pipeline.cli.interrupts import cancel_on_interrupt
from reconstruction_pipeline.cli.terminal import TerminalProgress

if TYPE_CHECKING:
    from reconstruction_pipeline.artifacts.colmap import ColmapModel
    from reconstruction_pipeline.stages.splats.views import TrainingView

CACHE = ".project-cache"
PROJECT = typer.Argument(
    ...,
    metavar="PROJECT",
    help="A COLMAP project (binary or text, found anywhere in the folder; pictures in images/ or input/), or "
    "transforms.json of nerfstudio or instant-ngp (the file or its folder). Distorted pictures are undistorted and "
    f"missing points triangulated once, into the hidden folder {CACHE} beside the scene file, which may be deleted. "
    "From RealityCapture or Metashape, export undistorted images with COLMAP's text format.",
)


def load_project(path: Path, scene: Path, need_points: bool = False) -> tuple[ColmapModel, list[TrainingView]]:
    """The undistorted model of a project and its views; what was done to it is said on standard error.

    `scene` is the file beside which the work is kept; where that folder cannot be written, nothing is kept.
    """
    from reconstruction_pipeline.stages.poses.imports import open_project
    from reconstruction_pipeline.stages.splats.inputs import views_of

    try:
        with TerminalProgress() as bars, cancel_on_interrupt(bars) as progress:
            project = open_project(path, _workspace(scene), progress, need_points)
    except Cancelled as error:
        raise Cancelled(f"{path}: preparing the project was interrupted; nothing half-made was kept.") from error
    for note in project.notes:
        typer.echo(f"note: {note}", err=True)
    return project.model, views_of(project.model, project.picture, project.mask)


def _workspace(scene: Path) -> Path:
    folder = scene.absolute().parent
    existing = next(place for place in (folder, *folder.parents) if place.is_dir())
    if os.access(existing, os.W_OK):
        return folder / CACHE
    temporary = tempfile.TemporaryDirectory(prefix="reconstruct-")
    _TEMPORARY.append(temporary)  # removed when the process ends
    return Path(temporary.name)


_TEMPORARY: list[tempfile.TemporaryDirectory[str]] = []
