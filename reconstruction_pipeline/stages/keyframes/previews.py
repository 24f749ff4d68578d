"""Pictures that explain a selection: a contact sheet, and sharpness and motion over time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.stages.keyframes.speed import speed_of

if TYPE_CHECKING:
    from reconstruction_pipeline.stages.keyframes.analysis import Analysis
    from reconstruction_pipeline.stages.keyframes.selection import Selection
    from reconstruction_pipeline.stages.keyframes.stretches import Stretch

MAX_BYTES = 60_000
COLUMNS, ROWS, THUMB = 6, 4, 150


def write_preview(path: Path, bgr: npt.NDArray[Any]) -> None:
    """Write a JPEG of at most MAX_BYTES, lowering quality and then size until it fits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        for quality in (85, 75, 65, 55, 45):
            _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
            if len(data) <= MAX_BYTES:
                path.write_bytes(data.tobytes())
                return
        bgr = cv2.resize(bgr, None, fx=0.8, fy=0.8, interpolation=cv2.INTER_AREA)


def contact_sheet(
    path: Path, images: Sequence[Path], labels: Sequence[str], train: Sequence[bool] | None = None
) -> None:
    """Up to 24 of `images`, evenly spaced, each with its label; those not to `train` on are framed and dimmed."""
    rows = np.unique(np.linspace(0, len(images) - 1, min(len(images), COLUMNS * ROWS)).round().astype(int))
    tiles = []
    for row in rows:
        image: Any = cv2.imread(str(images[row]))
        scale = THUMB / max(image.shape[:2])
        thumb = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        label = labels[row]
        if train is not None and not train[row]:
            thumb, label = thumb // 2 + 40, f"{label} poses only"
            cv2.rectangle(thumb, (0, 0), (thumb.shape[1] - 1, thumb.shape[0] - 1), (60, 160, 250), 2)
        cv2.putText(thumb, label, (4, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0), 3, cv2.LINE_AA)
        cv2.putText(thumb, label, (4, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (255, 255, 255), 1, cv2.LINE_AA)
        tiles.append(thumb)
    height, width = max(t.shape[0] for t in tiles) + 4, max(t.shape[1] for t in tiles) + 4
    columns = min(len(tiles), COLUMNS if width >= height else 2 * COLUMNS)
    sheet = np.full((-(-len(tiles) // columns) * height, columns * width, 3), 32, np.uint8)
    for number, tile in enumerate(tiles):
        top, left = number // columns * height, number % columns * width
        sheet[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
    write_preview(path, sheet)


COLORS = {
    "fast": "#c1666b", "blurred": "#b08bbb", "static": "#9aa0a6", "dark": "#3d405b", "burnt out": "#f2cc8f",
    "textureless": "#81b29a", "turning": "#7aa5d2",
}  # fmt: skip


def plot_selection(path: Path, analysis: Analysis, selection: Selection, stretches: Sequence[Stretch]) -> None:
    """Sharpness and speed of every frame over time, the chosen frames marked, weak stretches shaded."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    times, chosen, train = analysis.times, selection.chosen, selection.train
    figure = Figure(figsize=(9, 4.4), dpi=100, layout="constrained")
    sharp, moved = figure.subplots(2, 1, sharex=True, height_ratios=[3, 2])
    sharp.plot(times, analysis.sharpness, color="#8aa0b8", linewidth=0.8, label="every frame")
    for mask, face, label in ((train, "#d1495b", "keyframes"), (~train, "white", "for poses only")):
        if mask.any():
            rows = chosen[mask]
            sharp.plot(
                times[rows], analysis.sharpness[rows], "o",
                color="#d1495b", markerfacecolor=face, markersize=4, label=label,
            )  # fmt: skip
    sharp.set(ylabel="sharpness", ylim=(0, None))
    members = analysis.scene == selection.scene
    speed = np.full(len(times), np.nan)
    speed[members] = 100 * speed_of(np.maximum.accumulate(times[members]), analysis.progress[members])
    moved.plot(times, speed, color="#2e7d5b", linewidth=0.9)
    moved.vlines(times[chosen], 0, 0.06, color="#d1495b", linewidth=1, transform=moved.get_xaxis_transform())
    moved.set(xlabel="seconds", ylabel="motion, % of\ndiagonal / s", ylim=(0, None))
    for stretch in stretches:
        for axes in (sharp, moved):
            axes.axvspan(stretch.first_s, stretch.last_s, color=COLORS[stretch.kind], alpha=0.25, linewidth=0)
    if not members.all():
        for axes in (sharp, moved):
            axes.fill_between(
                times, 0, 1, where=(~members).tolist(), transform=axes.get_xaxis_transform(),
                facecolor="none", edgecolor="#c8ccd0", hatch="//", linewidth=0,
            )  # fmt: skip
        sharp.fill_between([], [], facecolor="none", edgecolor="#c8ccd0", hatch="//", label="another scene, not used")
    for kind in dict.fromkeys(s.kind for s in stretches):
        sharp.fill_between([], [], color=COLORS[kind], alpha=0.35, label=kind)
    figure.legend(*sharp.get_legend_handles_labels(), loc="outside upper left", ncols=9, fontsize=8, frameon=False)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    write_preview(path, np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[..., 2::-1]))
