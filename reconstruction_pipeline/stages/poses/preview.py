"""The camera path and the sparse points from above."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from reconstruction_pipeline.artifacts.colmap import ColmapModel

MAX_BYTES = 60_000


def plot_path(path: Path, model: ColmapModel, ordered: bool) -> None:
    """Top view (world x right, z up on the page) and side view (gravity down), JPEG of at most MAX_BYTES."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    centers = model.centers
    forward = np.array([image.rotation[2] for image in model.images])
    around = np.median(np.linalg.norm(model.xyz - np.median(model.xyz, axis=0), axis=1)) if len(model.xyz) else 1.0
    near = np.linalg.norm(model.xyz - np.median(model.xyz, axis=0), axis=1) < 4 * around
    figure = Figure(figsize=(9, 4.2), dpi=100, layout="constrained")
    for number, (axis, title) in enumerate(((2, "from above"), (1, "from the side")), start=1):
        axes = figure.add_subplot(1, 2, number)
        axes.scatter(model.xyz[near, 0], model.xyz[near, axis], s=1.0, c=model.rgb[near] / 255.0, alpha=0.7)
        if ordered:
            axes.plot(centers[:, 0], centers[:, axis], color="#33658a", linewidth=1)
        arrows: dict[str, Any] = {"color": "#d1495b", "width": 0.003, "scale": 18, "scale_units": "width"}
        axes.quiver(centers[:, 0], centers[:, axis], forward[:, 0], forward[:, axis], angles="xy", **arrows)
        axes.plot(*centers[0, [0, axis]], "o", color="#2e7d5b", markersize=6)
        axes.set_aspect("equal", adjustable="datalim")
        axes.set(title=title, xlabel="x", ylabel="z" if axis == 2 else "y (down)")
        if axis == 1:
            axes.invert_yaxis()
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    picture = Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3])
    path.parent.mkdir(parents=True, exist_ok=True)
    for quality in (85, 70, 55, 40, 25):
        buffer = BytesIO()
        picture.save(buffer, "JPEG", quality=quality)
        if buffer.tell() <= MAX_BYTES:
            break
    path.write_bytes(buffer.getvalue())
