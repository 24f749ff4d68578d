"""What the compression stage can be told."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CompressionSettings:
    """Settings of `compress_splats`.

    `palette`: entries of the spherical-harmonics palette (None: chosen from the count);
    `kmeans_iterations`: full passes of its k-means; `seed`: of every random choice;
    `holdout`: every how many images one is held out (as in training); `measure_views`: at most so many
    held-out views are rendered; `off_path_views`: views beside the path; `measure_size_px`: longest side
    of the measured renders; `viewer`: whether to write `viewer.html`.
    """

    palette: int | None = None
    kmeans_iterations: int = 6
    seed: int = 0
    holdout: int = 8
    measure_views: int = 8
    off_path_views: int = 3
    measure_size_px: int = 640
    max_loss_db: float = 0.3
    min_ratio: float = 8.0
    title: str = "Scene"
