"""What the compression stage can be told."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CompressionSettings:
    """Settings of `compress_splats`.

    `price`: what a bit of SOG must save (`WriteOptions.price`; None: by the count), lowered up to twice while the
    loss is above half of what is allowed and the ratio permits; `palette`: most entries of the spherical-harmonics
    palette (None: as many as the format has; else the price stays as it is); `kmeans_iterations`: passes of its
    k-means; `seed`: of every random choice; `clean`: whether the delivered files leave out what `clean.py` finds,
    each of its rules losing at most `max_clean_loss_db` at training photographs; `also`: formats that are written
    beside SOG, by suffix without the dot; `stream_above`: scenes of more splats are written as streamed SOG with
    levels of detail, too; `stream_levels`: how many (None: by the count); `holdout`: one image in so many is held out
    (as in training); `measure_views`: at most so many held-out views are rendered; `off_path_views`: views beside the
    path; `measure_size_px`: longest side of the measured renders; `max_loss_db`, `min_off_path_db`, `min_ratio`,
    `min_level_db`: the gates;
    `title`: what the viewer's page is called.
    """

    price: float | None = None
    palette: int | None = None
    kmeans_iterations: int = 8
    seed: int = 0
    clean: bool = True
    max_clean_loss_db: float = 0.02
    also: tuple[str, ...] = ("spz", "glb")
    stream_above: int = 1_000_000
    stream_levels: int | None = None
    holdout: int = 8
    measure_views: int = 16
    off_path_views: int = 4
    measure_size_px: int = 640
    max_loss_db: float = 0.3
    min_off_path_db: float = 30.0
    min_ratio: float = 8.0
    min_level_db: float = 28.0
    title: str = "Scene"
