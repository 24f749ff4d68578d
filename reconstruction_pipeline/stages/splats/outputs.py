"""The files of a trained scene: PLY, training curve, evaluation table, comparisons, previews."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import astuple, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.artifacts.ply import read_ply, write_ply
from reconstruction_pipeline.artifacts.verdict import Gate
from reconstruction_pipeline.stages.splats import gates
from reconstruction_pipeline.stages.splats.comparison import comparison, file_stem, worst_views, write_jpeg
from reconstruction_pipeline.stages.splats.evaluate import ViewScore, renderer
from reconstruction_pipeline.stages.splats.state import CurveRow
from reconstruction_pipeline.stages.splats.train import TrainingResult

PREVIEW_WIDTH = 720


def write_table(path: Path, fields: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A CSV with a header."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(fields)
        writer.writerows(rows)


def write_evaluation(path: Path, rows: Iterable[ViewScore]) -> None:
    """`name`, `psnr`, `ssim`, `lpips` of each view; `lpips` is empty where there is none."""
    write_table(path, ViewScore._fields, rows)


def write_scene(folder: Path, result: TrainingResult, sh_degree: int) -> list[Gate]:
    """Write `scene.ply`, `training_curve.csv` and `evaluation.csv`; the gates on what was written."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "scene.ply"
    write_ply(path, result.gaussians, sh_degree)
    write_table(folder / "training_curve.csv", [f.name for f in fields(CurveRow)], map(astuple, result.curve))
    write_evaluation(folder / "evaluation.csv", result.evaluation)
    read = read_ply(path)
    same = read.count == result.gaussians.count and bool(np.array_equal(read.means, result.gaussians.means))
    return [gates.file_gate(path.stat().st_size), gates.checkpoint_gate(same)]


def write_comparisons(folder: Path, result: TrainingResult) -> None:
    """`comparisons/<name>.jpg`: captured, rendered and error map of every held-out view; the worst as `previews/`."""
    if not result.held_out:
        return
    # Of the scene that was measured: one trained on every view has seen these.
    render = renderer(result.measured or result.gaussians, [view.camera for view in result.held_out])
    worst = {row.name for row in worst_views(result.evaluation)}
    for view in result.held_out:
        image = comparison(render, view)
        stem = file_stem(view.name)
        write_jpeg(folder / "comparisons" / f"{stem}.jpg", image, 90)
        if view.name in worst:
            write_jpeg(folder / "previews" / f"{stem}.jpg", _at_most(image, PREVIEW_WIDTH), 80)


def _at_most(image: npt.NDArray[np.uint8], width: int) -> npt.NDArray[np.uint8]:
    from reconstruction_pipeline.stages.splats.views import area_resize

    if image.shape[1] <= width:
        return image
    return area_resize(image, width, round(image.shape[0] * width / image.shape[1]))
