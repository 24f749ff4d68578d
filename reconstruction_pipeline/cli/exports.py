"""`reconstruct export`: a scene's pictures and poses as another tool reads them."""

from __future__ import annotations

import shutil
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from reconstruction_pipeline.artifacts.errors import UsageError
from reconstruction_pipeline.cli.folders import require_writable

if TYPE_CHECKING:
    from reconstruction_pipeline.artifacts import CameraPoses


LOCATION = "georeference.json"


class Tool(StrEnum):
    """As `stages.poses.export.TOOLS`, which is not imported before it is needed."""

    colmap = "colmap"
    nerfstudio = "nerfstudio"
    opensplat = "opensplat"
    postshot = "postshot"
    metashape = "metashape"


def export(
    video: str = typer.Argument(
        ..., metavar="VIDEO", help="Name of a reconstructed scene, or a folder of deliverables."
    ),
    tool: Tool = typer.Option(..., "--for", help="The tool that is to read it; colmap also suits 3DGS and gsplat."),
    out: Path | None = typer.Option(None, "--out", metavar="DIR", help="A new folder; default: VIDEO-TOOL, here."),
    with_location: bool = typer.Option(
        False,
        "--with-location",
        help="Add georeference.json: where on Earth the scene's origin lies, which no other file tells.",
    ),
) -> None:
    """Write the undistorted pictures, camera poses and points of a scene as another tool wants them.

    Example: reconstruct export walk --for nerfstudio --out walk_nerfstudio
    """
    from reconstruction_pipeline.stages.poses.export import export_poses

    poses, name = _poses_of(video)
    target = out or Path(f"{name}-{tool.value}")
    require_writable(target.absolute().parent)
    place = poses.path(LOCATION)
    if with_location and not place.is_file():
        raise UsageError(
            f"{video}: its place on Earth is not known here; give the name of a scene whose photos or video have GPS."
        )
    count = export_poses(poses, tool.value, target.absolute())
    if with_location:
        shutil.copyfile(place, target / LOCATION)
    typer.echo(f"{target}: {count} images with poses for {tool.value}")


def _poses_of(video: str) -> tuple[CameraPoses, str]:
    """The poses, and a name for what is made of them."""
    from reconstruction_pipeline.artifacts import CameraPoses
    from reconstruction_pipeline.artifacts.keys import require_safe_key
    from reconstruction_pipeline.orchestration.io_manager import open_store

    folder = Path(video)
    if (folder / "colmap" / "sparse" / "0" / "cameras.bin").is_file():
        return CameraPoses(folder / "colmap"), folder.resolve().name
    if folder.exists():
        raise UsageError(
            f"{video}: holds no deliverables (colmap/); give the name of a scene made by 'reconstruct run'."
        )
    key = require_safe_key(video)
    return open_store().load(CameraPoses, key), key


def add_commands(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(export)
