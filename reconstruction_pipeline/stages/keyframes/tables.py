"""The tables and the small document of a `Keyframes` artifact."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from reconstruction_pipeline.stages.keyframes.analysis import Analysis
    from reconstruction_pipeline.stages.keyframes.selection import Selection


def write_table(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """CSV with the columns of the first row; floats keep six digits, None is empty."""
    rows = list(rows)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]) if rows else ["name"])
        writer.writeheader()
        for row in rows:
            writer.writerow({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()})


def write_camera(path: Path, ordered: bool, width: int | None, height: int | None, focal_px: float | None) -> None:
    """`camera.json`; width and height are None when the photos differ in size."""
    document = {"ordered": ordered, "width": width, "height": height, "focal_px": focal_px}
    path.write_text(json.dumps(document, indent=1) + "\n")


def write_candidates(
    path: Path, analysis: Analysis, selection: Selection, names: Sequence[tuple[str, ...]], diagonal: float
) -> None:
    """`candidates.csv`: all that the choice was made from, and why, a row a decoded frame of the video.

    `names` are those of the images of each chosen frame; the table has the first. `motion_px` is the image motion since
    the row before, in pixels of pictures with that `diagonal`.
    """
    starts = np.diff(analysis.scene, prepend=0) != 0
    step = np.where(starts, 0.0, np.diff(analysis.progress, prepend=0.0)) * diagonal
    name_of = dict(zip(selection.chosen.tolist(), (images[0] for images in names), strict=True))
    trained = set(selection.chosen[selection.train].tolist())
    write_table(
        path,
        (
            {
                "frame": i,
                "name": name_of.get(i, ""),
                "timestamp_s": float(analysis.times[i]),
                "sharpness": float(analysis.sharpness[i]),
                "motion_px": float(step[i]),
                "scene": int(analysis.scene[i]),
                "chosen": int(i in name_of),
                "train": int(i in trained),
                "relative_sharpness": float(selection.relative[i]),
                "viewpoint": float(selection.viewpoint[i]),
                "reason": selection.reasons[i],
            }
            for i in range(len(analysis.times))
        ),
    )


def write_chosen(
    path: Path,
    analysis: Analysis,
    selection: Selection,
    names: Sequence[tuple[str, ...]],
    blurs: Sequence[float],
    size: tuple[int, int],
    focal_px: float | None = None,
) -> None:
    """`keyframes.csv` of a video with pictures of `size` (width, height); `motion_px` since the frame before.

    `names` are those of the images of each chosen frame, one of a flat video, and of a panorama one a view; `camera`
    counts the views.
    """
    travelled = analysis.progress[selection.chosen] * float(np.hypot(*size))
    moved = np.diff(travelled, prepend=travelled[0])
    write_table(
        path,
        (
            {
                "name": name,
                "timestamp_s": float(analysis.times[i]),
                "sharpness": float(analysis.sharpness[i]),
                "motion_px": float(moved[row]),
                "blur": blurs[row],
                "train": int(selection.train[row]),
                "frame": int(i),
                "width": size[0],
                "height": size[1],
                "focal_px": focal_px,
                "camera": camera,
            }
            for row, (i, images) in enumerate(zip(selection.chosen.tolist(), names, strict=True))
            for camera, name in enumerate(images)
        ),
    )
