"""What the compression stage can be told, and the names of its gates."""

from __future__ import annotations

from dataclasses import dataclass

"""Name and severity of every gate of `compressed_splats`."""


@dataclass(frozen=True)
class CompressionSettings:
    """Settings of `compress_splats`.

    `palette`: entries of the spherical-harmonics palette (None: chosen from the count, and doubled up to
    twice while the loss is above half of what is allowed and the ratio permits); `kmeans_iterations`:
    full passes of its k-means; `seed`: of every random choice;
    `holdout`: one image in so many is held out (as in training); `measure_views`: at most so many held-out
    views are rendered; `off_path_views`: views beside the path; `measure_size_px`: longest side of the
    measured renders; `max_loss_db`, `min_ratio`: the gates; `title`: what the viewer's page is called.
    """

    palette: int | None = None
    kmeans_iterations: int = 8
    seed: int = 0
    holdout: int = 8
    measure_views: int = 16
    off_path_views: int = 4
    measure_size_px: int = 640
    max_loss_db: float = 0.3
    min_ratio: float = 8.0
    title: str = "Scene"
