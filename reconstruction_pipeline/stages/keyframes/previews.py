"""Pictures that explain a selection: a contact sheet, and sharpness and motion over time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

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


def contact_sheet(path: Path, images: Sequence[Path], labels: Sequence[str]) -> None:
    """Up to 24 of `images`, evenly spaced, each with its label."""
    rows = np.unique(np.linspace(0, len(images) - 1, min(len(images), COLUMNS * ROWS)).round().astype(int))
    tiles = []
    for row in rows:
        image: Any = cv2.imread(str(images[row]))
        scale = THUMB / max(image.shape[:2])
        thumb = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        cv2.putText(thumb, labels[row], (4, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0), 3, cv2.LINE_AA)
        cv2.putText(thumb, labels[row], (4, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (255, 255, 255), 1, cv2.LINE_AA)
        tiles.append(thumb)
    height, width = max(t.shape[0] for t in tiles) + 4, max(t.shape[1] for t in tiles) + 4
    columns = min(len(tiles), COLUMNS if width >= height else 2 * COLUMNS)
    sheet = np.full((-(-len(tiles) // columns) * height, columns * width, 3), 32, np.uint8)
    for number, tile in enumerate(tiles):
        top, left = number // columns * height, number % columns * width
        sheet[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
    write_preview(path, sheet)


def plot_selection(
    path: Path,
    times: npt.NDArray[np.float64],
    sharpness: npt.NDArray[np.float64],
    progress: npt.NDArray[np.float64],
    chosen: npt.NDArray[np.int64],
) -> None:
    """Sharpness and accumulated motion (% of the diagonal) over time, chosen frames marked."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.2), dpi=100, layout="constrained")
    axes = figure.add_subplot()
    axes.plot(times, sharpness, color="#8aa0b8", linewidth=0.8, label="sharpness")
    axes.plot(times[chosen], sharpness[chosen], "o", color="#d1495b", markersize=3.5, label="keyframes")
    axes.set(xlabel="seconds", ylabel="sharpness", ylim=(0, None))
    other = axes.twinx()
    other.plot(times, 100 * progress, color="#2e7d5b", linewidth=1.2, label="motion so far")
    other.set(ylabel="motion so far, % of diagonal", ylim=(0, None))
    handles = [*axes.get_lines(), *other.get_lines()]
    axes.legend(handles, [str(line.get_label()) for line in handles], loc="upper left", fontsize=8)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    write_preview(path, np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[..., 2::-1]))
