"""`reconstruct train`, `evaluate` and `render`: splats from a project with known poses, without Dagster."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import typer

from reconstruction_pipeline.artifacts.errors import Cancelled, InvalidArtifact, UsageError
from reconstruction_pipeline.cli.folders import require_file, require_writable
from reconstruction_pipeline.cli.interrupts import cancel_on_interrupt
from reconstruction_pipeline.cli.projects import PROJECT, load_project
from reconstruction_pipeline.cli.terminal import TerminalProgress

SCENE = typer.Argument(..., metavar="SCENE", help="A splat file: .ply or .sog.")
MAX_SIZE = typer.Option(None, metavar="PX", min=32, help="Longest image side; default: as stored.")
HOLDOUT = typer.Option(8, metavar="K", min=0, help="Evaluate images 0, K, 2K … in name order; 0: all of them.")


def train(
    colmap_dir: Path = PROJECT,
    out: Path = typer.Option(..., "--out", metavar="SCENE.ply", help="Where to write the scene."),
    seconds: float | None = typer.Option(
        None, min=1.0, help="Time for training, initialisation and pruning; default: 60, on CUDA 30 000 steps."
    ),
    steps: int | None = typer.Option(None, min=1, help="Training steps instead of a time; deterministic."),
    max_splats: int | None = typer.Option(None, min=1000, help="Hard cap; default: planned from the budget."),
    max_size: int | None = MAX_SIZE,
    holdout: int = typer.Option(0, metavar="K", min=0, help="Hold out images 0, K, 2K … and measure on them."),
    final_on_all: bool = typer.Option(
        False, "--final-on-all", help="After the measured scene, train another on every view and write that one."
    ),
    seed: int = typer.Option(0, help="Seed of everything random."),
    device: str = typer.Option("auto", help="auto, cpu or cuda."),
    resume: bool = typer.Option(False, "--resume", help="Go on where an interrupted run of the same settings stopped."),
) -> None:
    """Train a scene on a COLMAP project or transforms.json; the last line printed is one JSON object.

    Example: reconstruct train my_colmap_project --out scene.ply --seconds 60 --holdout 8
    """
    if seconds and steps:
        raise UsageError("give --seconds or --steps, not both.")
    from reconstruction_pipeline.artifacts.ply import write_ply
    from reconstruction_pipeline.orchestration.stage_worker import peak_rss_mb
    from reconstruction_pipeline.stages.splats import checkpoint
    from reconstruction_pipeline.stages.splats.inputs import points_of
    from reconstruction_pipeline.stages.splats.recipes import with_cuda
    from reconstruction_pipeline.stages.splats.scene import train_scene
    from reconstruction_pipeline.stages.splats.settings import TrainSettings

    if out.suffix.lower() != ".ply":
        raise UsageError(f"{out}: training writes .ply; convert it afterwards with 'reconstruct convert'.")
    model, views = load_project(colmap_dir, out, need_points=True)
    require_writable(out.parent)
    budget = None if steps else (seconds or 60.0)
    settings = TrainSettings(
        steps=steps,
        seconds=budget,
        max_splats=max_splats,
        max_size=max_size,
        holdout=holdout,
        seed=seed,
        final_on_all=final_on_all,
        device=device,  # type: ignore[arg-type]
    )
    settings = with_cuda(settings, budget=bool(steps or seconds))
    saved = out.with_name(f".{out.name}.checkpoint")
    points = points_of(model)
    if not resume and checkpoint.exists(saved):
        typer.echo(f"{out}: starting afresh; the state of an interrupted run is dropped (--resume goes on).", err=True)
    elif resume and not checkpoint.exists(saved):
        typer.echo(f"{out}: no interrupted run was kept; starting afresh.", err=True)
    try:
        with TerminalProgress() as bars, cancel_on_interrupt(bars) as progress:
            result = train_scene(views, points, settings, progress, None, saved, resume)
    except Cancelled as error:
        kept = (
            "its state is kept, go on with the same command and --resume"
            if checkpoint.exists(saved)
            else "it had just begun"
        )
        raise Cancelled(f"{out}: training was interrupted and nothing written; {kept}.") from error
    partial = out.with_name(f".{out.name}.partial")
    write_ply(partial, result.gaussians, settings.sh_degree)
    partial.replace(out)
    shutil.rmtree(saved, ignore_errors=True)
    for gate in (g for g in result.gates if not g.passed):
        typer.echo(f"warning: {gate.message} {gate.advice}".rstrip(), err=True)
    if reason := result.metrics.get("fallback_reason"):
        typer.echo(f"warning: trained on the CPU: {reason}", err=True)
    line = {
        "psnr": result.metrics["psnr_holdout_db"],
        "ssim": result.metrics["ssim_holdout"],
        "count": result.gaussians.count,
        "steps": result.metrics["steps"],
        "seconds": result.metrics["training_seconds"],
        "peak_rss_mb": round(peak_rss_mb(), 1),
        "device": result.metrics["device"],
    }
    typer.echo(json.dumps(line))


def evaluate(
    scene: Path = SCENE,
    colmap_dir: Path = PROJECT,
    holdout: int = HOLDOUT,
    max_size: int | None = MAX_SIZE,
    out: Path | None = typer.Option(
        None, "--out", metavar="DIR", help="Also write evaluation.csv and pictures of the five worst views there."
    ),
) -> None:
    """Render the held-out views of a project and print PSNR, SSIM and LPIPS as JSON (raw, nothing fitted).

    LPIPS is null unless its weights are present; 'reconstruct doctor' says where they belong.
    """
    from reconstruction_pipeline.settings import load_settings
    from reconstruction_pipeline.stages.compression.codecs import read_splats
    from reconstruction_pipeline.stages.splats.comparison import worst_views, write_worst
    from reconstruction_pipeline.stages.splats.evaluate import mean_lpips, mean_scores, renderer, score
    from reconstruction_pipeline.stages.splats.lpips import find_lpips
    from reconstruction_pipeline.stages.splats.outputs import write_evaluation
    from reconstruction_pipeline.stages.splats.views import held_out_names, load_view

    _, views = load_project(colmap_dir, scene)
    apart = held_out_names([view.name for view in views], holdout or 1)
    held_out = [view for view in views if view.name in apart]
    if not held_out:
        raise UsageError(f"{colmap_dir}: no image to evaluate.")
    if out is not None:
        require_writable(out)
    perceptual = find_lpips(load_settings().weights)
    render_view = renderer(read_splats(require_file(scene)), [view.camera for view in views])
    with TerminalProgress() as progress:
        rows = []
        for number, view in enumerate(held_out, start=1):
            rows += score(render_view, [load_view(view, max_size)], perceptual)
            progress.report("rendering", number, len(held_out))
    if not rows:
        raise UsageError(f"{colmap_dir}: the masks leave nothing to evaluate; check them, or choose another --holdout.")
    if broken := [row.name for row in rows if not math.isfinite(row.psnr + row.ssim)]:
        raise InvalidArtifact(
            f"{scene}: view {broken[0]} renders to values that are no numbers; splats of the file hold infinities, "
            "write it anew without them."
        )
    worst = worst_views(rows)
    if out is not None:
        chosen = {row.name for row in worst}
        write_evaluation(out / "evaluation.csv", rows)
        write_worst(out, render_view, [load_view(view, max_size) for view in held_out if view.name in chosen], worst)
    psnr, ssim = mean_scores(rows)
    line = {
        "psnr": psnr,
        "ssim": ssim,
        "lpips": mean_lpips(rows),
        "views": [row._asdict() for row in rows],
        "worst": [row.name for row in worst],
    }
    typer.echo(json.dumps(line, allow_nan=False))


def render(
    scene: Path = SCENE,
    colmap_dir: Path = PROJECT,
    out: Path = typer.Option(..., "--out", metavar="DIR", help="Folder for the pictures (PNG)."),
    max_size: int | None = MAX_SIZE,
) -> None:
    """Render a scene from every camera of a project."""
    import cv2
    import numpy as np

    from reconstruction_pipeline.stages.compression.codecs import read_splats
    from reconstruction_pipeline.stages.splats.evaluate import renderer

    _, views = load_project(colmap_dir, scene)
    render_view = renderer(read_splats(require_file(scene)), [view.camera for view in views])
    require_writable(out)
    with TerminalProgress() as progress:
        for number, view in enumerate(views, start=1):
            size = max(view.camera.width, view.camera.height)
            factor = min(1.0, max_size / size) if max_size else 1.0
            camera = view.camera.scaled(round(view.camera.width * factor), round(view.camera.height * factor))
            image = np.round(np.clip(render_view(camera), 0, 1) * 255).astype(np.uint8)
            target = (out / view.name).with_suffix(".png")
            target.parent.mkdir(parents=True, exist_ok=True)
            if not cv2.imwrite(str(target), image[:, :, ::-1]):
                raise UsageError(f"{target}: cannot be written; check the folder.")
            progress.report("rendering", number, len(views))
    typer.echo(f"{len(views)} pictures in {out}")


def add_commands(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(train)
    app.command()(evaluate)
    app.command()(render)
