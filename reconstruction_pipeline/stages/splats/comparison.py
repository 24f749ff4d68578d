"""Captured, rendered and where they differ, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.stages.splats.evaluate import Render, ViewScore
from reconstruction_pipeline.stages.splats.views import LoadedView

Image = npt.NDArray[np.uint8]

WORST_VIEWS = 5
FULL_ERROR = 0.25
"""The error map's brightest colour stands for this mean difference of the channels (peak 1), and for more."""


def worst_views(rows: Sequence[ViewScore]) -> list[ViewScore]:
    """The WORST_VIEWS with the lowest PSNR, the worst first."""
    return sorted(rows, key=lambda row: row.psnr)[:WORST_VIEWS]


def error_map(captured: Image, rendered: Image, mask: Image | None = None) -> Image:
    """(H, W, 3) RGB: the mean absolute difference of the channels, from black (none) over purple to pale yellow.

    What `mask` ignores is black, as it does not count.
    """
    import cv2

    difference = np.abs(captured.astype(np.float32) - rendered.astype(np.float32)).mean(axis=2)
    if mask is not None:
        difference = np.where(mask == 255, difference, 0.0)
    level = np.clip(np.round(difference / FULL_ERROR), 0, 255).astype(np.uint8)
    return np.ascontiguousarray(cv2.applyColorMap(level, cv2.COLORMAP_INFERNO)[:, :, ::-1])


def comparison(render: Render, view: LoadedView) -> Image:
    """(H, 3 W, 3) RGB: captured, rendered, error map."""
    rendered = np.round(np.clip(render(view.camera), 0.0, 1.0) * 255.0).astype(np.uint8)
    return np.concatenate([view.image, rendered, error_map(view.image, rendered, view.mask)], axis=1)


def write_worst(folder: Path, render: Render, views: Sequence[LoadedView], rows: Sequence[ViewScore]) -> list[Path]:
    """`worst_<rank>_<PSNR>dB_<name>.jpg` for each of `rows`, whose views are among `views`; older ones are removed."""
    for old in folder.glob("worst_[0-9]_*dB_*.jpg"):
        old.unlink()
    by_name = {view.name: view for view in views}
    paths = []
    for rank, row in enumerate(rows, start=1):
        paths.append(folder / f"worst_{rank}_{row.psnr:.2f}dB_{file_stem(row.name)}.jpg")
        write_jpeg(paths[-1], comparison(render, by_name[row.name]), 92)
    return paths


def file_stem(name: str) -> str:
    """A view's name as the stem of a file beside others: without its ending, its folders joined by underscores."""
    return Path(name.replace("/", "_")).stem


def write_jpeg(path: Path, image: Image, quality: int) -> None:
    """Write (H, W, 3) RGB, making the folder; raises OSError."""
    import cv2

    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality]):
        raise OSError(f"{path} could not be written")
