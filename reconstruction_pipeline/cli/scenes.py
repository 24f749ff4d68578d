"""`reconstruct run` and `reconstruct demo`: whole scenes through the Dagster job."""

from __future__ import annotations

import shutil
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from reconstruction_pipeline.artifacts.errors import MissingRequirement, ReconstructionError, UsageError
from reconstruction_pipeline.cli.folders import require_writable
from reconstruction_pipeline.cli.silence import silence
from reconstruction_pipeline.cli.terminal import TerminalProgress
from reconstruction_pipeline.preset_names import PresetName

if TYPE_CHECKING:
    from reconstruction_pipeline.orchestration.scene_run import SceneOutcome, SceneRequest

FREE_DISK_GB = 2.0


class Projection(StrEnum):
    """How a video shows the world."""

    auto = "auto"
    equirectangular = "equirectangular"
    flat = "flat"


class GivenPoses(StrEnum):
    """What becomes of poses that came with a capture."""

    use = "use"
    ignore = "ignore"


PRESET = typer.Option(PresetName.balanced, help="How much time to spend; see the README's table.")
DEVICE = typer.Option("auto", help="auto, cpu or cuda.")
OUT = typer.Option(None, metavar="DIR", help="Copy the deliverables to DIR/<name>/.")
ACCEPT = typer.Option(False, "--accept-failed-gates", help="Go on although a quality gate failed (recorded).")
FINAL = typer.Option(
    False, "--final-on-all", help="After the measured scene, train another on every view and deliver that one."
)
EXTERNAL = typer.Option(
    [],
    "--external",
    metavar="STAGE=PROGRAM",
    help="Let a program that is not ours do poses, training, meshing or compression: its descriptor's name or path "
    "(docs/external.md; doctor lists them). May be repeated.",
)
NONCOMMERCIAL = typer.Option(
    False, "--allow-noncommercial", help="This use is not commercial: programs whose licences ask for that may be used."
)
AGAIN = typer.Option(False, "--again", help="Run although the same content was done with this preset.")

FILMED = "What you know of the capture"
CAMERA_HEIGHT = typer.Option(
    None,
    metavar="METRES",
    min=0.01,
    rich_help_panel=FILMED,
    help="How high the camera was held over the floor or table it saw: the scene is then in metres.",
)
KNOWN_DISTANCE = typer.Option(
    None,
    metavar="PLACE PLACE METRES",
    rich_help_panel=FILMED,
    help="Two places of the camera and how far apart they are: the scene is then in metres. A place is a moment of the "
    "video (12.5s), a photo (a.jpg) or a keyframe (00012.jpg). The farther apart, the better.",
)
PATH_LENGTH = typer.Option(
    None,
    metavar="METRES",
    min=0.01,
    rich_help_panel=FILMED,
    help="How long the way was from the first frame of a video to its last: the scene is then in metres.",
)
GIVEN_POSES = typer.Option(
    GivenPoses.use,
    rich_help_panel=FILMED,
    help="Camera poses that came with the photos (a COLMAP project, transforms.json): use them as they are, under the "
    "same gates, or find them anew.",
)
PROJECTION = typer.Option(
    Projection.auto,
    rich_help_panel=FILMED,
    help="Of a video: equirectangular is 360° all around, flat is not; auto believes the marks in the file.",
)
GPS = typer.Option(
    True,
    "--gps/--no-gps",
    rich_help_panel=FILMED,
    help="Positions in EXIF, or in an SRT, GPX or CSV file beside the capture, put the scene in metres, x east and z "
    "north; --no-gps leaves them alone.",
)
TURNTABLE = typer.Option(
    False,
    "--turntable",
    rich_help_panel=FILMED,
    help="A thing on a turntable before a camera that does not move: what stands still in the picture is left out, and "
    "where all else fails, the cameras are assumed on a circle.",
)

MESHED = "The mesh"
CROP = typer.Option(
    None,
    metavar="object|BOX",
    rich_help_panel=MESHED,
    help="Mesh of one object only: 'object' for what the cameras look at from around it, or a box x0,y0,z0,x1,y1,z1 in "
    "the world of mesh.ply. Splats are not cropped (see convert).",
)
WITHOUT_TABLE = typer.Option(
    False,
    "--without-table",
    rich_help_panel=MESHED,
    help="Remove the level surface that carries the object, and everything below.",
)
USDZ = typer.Option(False, "--usdz", rich_help_panel=MESHED, help="Write mesh.usdz, too (needs usd-core).")


def run(
    context: typer.Context,
    inputs: list[Path] = typer.Argument(
        ..., metavar="INPUT...", help="Videos, folders or zips of photos, or posed projects (COLMAP, transforms.json)."
    ),
    preset: PresetName = PRESET,
    out: Path | None = OUT,
    name: str | None = typer.Option(None, metavar="KEY", help="Name of the scene (one INPUT only)."),
    device: str = DEVICE,
    accept_failed_gates: bool = ACCEPT,
    final_on_all: bool = FINAL,
    again: bool = AGAIN,
    external: list[str] = EXTERNAL,
    allow_noncommercial: bool = NONCOMMERCIAL,
    camera_height: float | None = CAMERA_HEIGHT,
    known_distance: tuple[str, str, float] | None = KNOWN_DISTANCE,
    path_length: float | None = PATH_LENGTH,
    given_poses: GivenPoses = GIVEN_POSES,
    gps: bool = GPS,
    projection: Projection = PROJECTION,
    turntable: bool = TURNTABLE,
    crop: str | None = CROP,
    without_table: bool = WITHOUT_TABLE,
    usdz: bool = USDZ,
) -> int:
    """Reconstruct each INPUT as one scene: splats, mesh, viewer and report.

    The scenes are in Dagster's UI afterwards (reconstruct ui), with lineage, checks and pictures.

    Example: reconstruct run garden.mp4 --preset fastest --out results

    In metres: reconstruct run garden.mp4 --known-distance 0s 12.5s 3.2
    """
    if name and len(inputs) > 1:
        raise UsageError("--name names one scene, but there are several inputs; leave it out.")
    from reconstruction_pipeline.external.selection import parse_selection
    from reconstruction_pipeline.orchestration.choices import MeshChoices
    from reconstruction_pipeline.orchestration.scene_run import SceneRequest
    from reconstruction_pipeline.presets import PoseChoices

    mesh = MeshChoices(crop=crop, without_table=without_table or None, usdz=usdz or None)
    programs = parse_selection(external)
    distance = tuple(str(part) for part in known_distance or ())
    filmed = PoseChoices(camera_height, distance, path_length, given_poses.value, gps, turntable)
    code = 0
    for path in inputs:
        try:
            request = SceneRequest(
                path,
                name,
                preset.value,
                device,
                accept_failed_gates,
                again,
                final_on_all,
                filmed,
                external=programs,
                allow_noncommercial=allow_noncommercial,
                projection=projection.value,
                mesh=mesh,
            )
            _one(context, request, out)
        except ReconstructionError as error:
            if len(inputs) == 1:
                raise
            typer.echo(f"error: {error}", err=True)
            code = code or error.exit_code
    return code


def demo(context: typer.Context, preset: PresetName = PRESET, device: str = DEVICE, out: Path | None = OUT) -> int:
    """Make the sample video (once) and reconstruct it, end to end."""
    from reconstruction_pipeline.orchestration.scene_run import SceneRequest
    from reconstruction_pipeline.sample import make_sample
    from reconstruction_pipeline.settings import load_settings

    with TerminalProgress() as progress:
        sample = make_sample(load_settings().scratch / "sample", "demo", progress=progress)
    _one(context, SceneRequest(sample.video, "demo", preset.value, device, again=True), out)
    return 0


def _one(context: typer.Context, request: SceneRequest, out: Path | None) -> None:
    from reconstruction_pipeline.orchestration.scene_run import reconstruct_scene
    from reconstruction_pipeline.settings import load_settings, use_dagster_home

    if out:
        require_writable(out)
    settings = load_settings()
    use_dagster_home(settings)
    _require_disk(settings.scratch)
    debug = bool(context.find_root().params.get("debug"))
    with TerminalProgress() as progress, silence(not debug):
        outcome = reconstruct_scene(request, progress, progress.say)
    _summary(outcome, _copy_out(outcome, out) if out else outcome.folder)
    if outcome.error:
        raise outcome.error


def _copy_out(outcome: SceneOutcome, out: Path) -> Path:
    """Copy the deliverables; those of an earlier run go, other files of the folder stay."""
    from reconstruction_pipeline.orchestration.deliverables import CONTENTS

    target = out / outcome.key
    target.mkdir(parents=True, exist_ok=True)
    for name in {name.split("/")[0] for name in CONTENTS}:
        old = target / name
        if old.is_dir() and not old.is_symlink():
            shutil.rmtree(old)
        else:
            old.unlink(missing_ok=True)
    shutil.copytree(outcome.folder, target, dirs_exist_ok=True)
    return target


def _require_disk(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free / 1e9
    if free < FREE_DISK_GB:
        raise MissingRequirement(
            f"{folder}: {free:.1f} GB of disk are free, a scene needs about {FREE_DISK_GB:.0f}; "
            "free some, or set RECONSTRUCTION_STORAGE to another disk."
        )


def _summary(outcome: SceneOutcome, folder: Path) -> None:
    typer.echo(f"\n{outcome.key}: grade {outcome.grade}{' · ' + outcome.headline if outcome.headline else ''}")
    for line in outcome.warnings:
        typer.echo(f"  warning: {line}")
    for path in sorted(p for p in Path(folder).iterdir() if not p.name.startswith(".")):
        typer.echo(f"  {path}{'/' if path.is_dir() else ''}")


def add_commands(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(run)
    app.command()(demo)
