"""`reconstruct doctor` and `reconstruct ui`: this machine, and Dagster on it."""

from __future__ import annotations

import os
import signal
import sys
from enum import StrEnum

import typer

from reconstruction_pipeline.artifacts.errors import MissingRequirement, UsageError


class Target(StrEnum):
    """What `doctor --strict` holds the machine against."""

    cpu = "cpu"
    cuda = "cuda"


class Download(StrEnum):
    """What `doctor --download` can fetch."""

    depth_model = "depth-model"


def doctor(
    strict: bool = typer.Option(False, "--strict", help="Fail (exit code 4) when a needed part is missing."),
    for_: Target = typer.Option(Target.cpu, "--for", help="What the machine is to be used for."),
    download: Download | None = typer.Option(None, "--download", help="First fetch this optional part, about 100 MB."),
) -> int:
    """Say what this machine has, and what each missing part costs."""
    from reconstruction_pipeline.diagnosis import examine

    if download is Download.depth_model:
        _fetch_depth_model()
    rows = examine(cuda=for_ is Target.cuda)
    width = max(len(row.part) for row in rows)
    for row in rows:
        mark = "ok     " if row.present else ("MISSING" if row.needed else "absent ")
        typer.echo(f"{mark} {row.part:<{width}}  {row.detail}")
        if not row.present and row.cost:
            typer.echo(f"        {'':<{width}}  -> {row.cost}")
    missing = [row.part for row in rows if row.needed and not row.present]
    if strict and missing:
        raise MissingRequirement(f"this machine lacks {', '.join(missing)}; see the lines above.")
    return 0


def _fetch_depth_model() -> None:
    from reconstruction_pipeline.settings import load_settings
    from reconstruction_pipeline.stages.depth.monocular.weights import DEPTH_ANYTHING, download_model

    file = download_model(load_settings().weights, DEPTH_ANYTHING)
    typer.echo(f"{file.path} is there ({DEPTH_ANYTHING.licence}, SHA-256 {file.sha256}).")


def ui(
    port: int = typer.Option(3000, help="Port of the web page."),
    host: str = typer.Option("127.0.0.1", help="Address to listen on; anyone who reaches it can start runs."),
) -> None:
    """Open Dagster's UI and daemon on this project's instance (Ctrl-C stops both)."""
    from reconstruction_pipeline.cli import dagster_services
    from reconstruction_pipeline.settings import load_settings

    settings = load_settings()
    program = dagster_services.command(host, port)
    held = dagster_services.claim(settings, f"http://{host}:{port}")
    if held.descriptor is None:
        raise UsageError(f"Dagster already works on this storage, at {held.url}; open that, or stop it first.")
    typer.echo(f"Dagster: http://{host}:{port}   storage: {settings.storage}   uploads: {settings.uploads}")
    sys.stdout.flush()
    os.chdir(settings.dagster_home)  # away from any project file that Dagster would prefer
    os.environ.setdefault("PYTHONWARNINGS", "ignore:Function `dev_command` is superseded")
    # A shell starts background jobs with SIGINT ignored; Dagster would then ignore SIGTERM too and never end.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.execv(program[0], program)


def add_commands(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(doctor)
    app.command()(ui)
