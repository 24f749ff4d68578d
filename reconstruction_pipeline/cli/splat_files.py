"""`reconstruct convert`: between splat files."""

from __future__ import annotations

from pathlib import Path

import typer

from reconstruction_pipeline.artifacts.errors import UsageError
from reconstruction_pipeline.cli.folders import require_file


def convert(
    source: Path = typer.Argument(
        ..., metavar="IN", help="A .ply, .compressed.ply, .sog, .spz, .splat, .ksplat, .glb or lod-meta.json."
    ),
    target: Path = typer.Argument(
        ..., metavar="OUT", help="The file to write: any of these but .ksplat; .usda; .usdz."
    ),
    sh: int | None = typer.Option(None, min=0, max=3, help="Keep spherical harmonics up to this degree."),
    max_splats: int | None = typer.Option(None, min=1, help="Keep the most visible splats only."),
    rotate: str | None = typer.Option(None, metavar="X,Y,Z", help="Turn by degrees about x, then y, then z."),
    crop: str | None = typer.Option(None, metavar="X0,Y0,Z0,X1,Y1,Z1", help="Keep splats inside this box."),
    spz_version: int = typer.Option(3, min=2, max=4, help="Version of an .spz; many viewers read up to 3 only."),
    level: int = typer.Option(0, min=0, help="Level of detail to read of a lod-meta.json; 0 is the finest."),
    levels: int | None = typer.Option(None, min=1, max=8, help="Levels of detail to write into a lod-meta.json."),
    page: bool = typer.Option(False, "--page", help="Write index.html beside a lod-meta.json, for a web server."),
) -> None:
    """Convert between splat files; the formats follow from the names.

    Numbers stay in the y-down world of the PLY, except in .glb and USD, which are y-up. Files in another frame (.spz of
    Niantic's tools) need --rotate 180,0,0. A lod-meta.json (streamed SOG, with levels of detail) needs a folder of its
    own; put that on any web server and open it with SuperSplat's viewer or an app of PlayCanvas, or with its --page.

    Example: reconstruct convert scene.ply scene.sog --sh 2
    """
    from reconstruction_pipeline.stages.compression.convert import convert as convert_file

    turn = _numbers(rotate, 3, "--rotate")
    box = _numbers(crop, 6, "--crop")
    done = convert_file(
        require_file(source),
        target,
        sh=sh,
        max_splats=max_splats,
        rotate=(turn[0], turn[1], turn[2]) if turn else None,
        crop=((box[0], box[1], box[2]), (box[3], box[4], box[5])) if box else None,
        spz_version=spz_version,
        level=level,
        levels=levels,
        page=page,
    )
    ratio = done.bytes_in / max(done.bytes_out, 1)
    change = f"{ratio:.1f} times smaller" if ratio >= 1 else f"{1 / ratio:.1f} times larger"
    typer.echo(f"{target}: {done.splats_out:,} splats, {done.bytes_out:,} bytes ({change})")
    if done.left_out:
        typer.echo(done.left_out)


def _numbers(text: str | None, count: int, option: str) -> list[float] | None:
    if text is None:
        return None
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if len(values) != count:
        raise UsageError(f"{option} takes {count} numbers separated by commas, not '{text}'.")
    return values


def add_commands(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(convert)
