"""Writing SOG until it is true enough: encode, decode again, measure, and spend more bytes where needed."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from reconstruction_pipeline.artifacts.camera_poses import CameraPoses
from reconstruction_pipeline.artifacts.errors import InvalidArtifact
from reconstruction_pipeline.artifacts.gaussian_splats import Gaussians
from reconstruction_pipeline.artifacts.ply import sh_degree_of
from reconstruction_pipeline.artifacts.progress import Progress
from reconstruction_pipeline.artifacts.verdict import Gate
from reconstruction_pipeline.artifacts.views import pinhole_view
from reconstruction_pipeline.stages.compression.codecs import WriteOptions, read_splats, write_splats
from reconstruction_pipeline.stages.compression.codecs.palette import palette_size
from reconstruction_pipeline.stages.compression.fidelity import Fidelity, WorstView, measure
from reconstruction_pipeline.stages.compression.gates import decode_gate
from reconstruction_pipeline.stages.compression.settings import CompressionSettings

STAGE = "compressed_splats"
ATTEMPTS = 3
GROWTH = 0.485
"""The file grows with this power of the palette at most: a doubled palette makes it up to 1.4 times larger."""
SPARE = 1.03
"""The ratio is aimed to stay this much above its limit."""
MIN_STEP = 1.1
"""A palette that could grow by less than this is not tried again."""


@dataclass(frozen=True)
class Attempt:
    """One written file: its size, its palette (0: no view-dependent colour), time to encode, and what was measured."""

    sog_bytes: int
    ratio: float
    palette: int
    seconds: float
    decoded: Gate
    fidelity: Fidelity | None = None
    worst: WorstView | None = None


def write_sog(
    path: Path, scene: Gaussians, ply_bytes: int, poses: CameraPoses, settings: CompressionSettings, progress: Progress
) -> Attempt:
    """Write `scene` to `path` and measure it; the attempt that is kept is the last one."""
    model = poses.model()
    # Not the held-out views: what is measured there must not have been fitted there.
    views = tuple(
        pinhole_view(model, image) for row, image in enumerate(model.images) if row % max(settings.holdout, 2)
    )
    palette = 0 if sh_degree_of(scene) == 0 else settings.palette or palette_size(scene.count)
    for number in range(ATTEMPTS):
        span = (0.05 + 0.9 * number / ATTEMPTS, 0.9 / ATTEMPTS)
        options = WriteOptions(None, palette or None, settings.kmeans_iterations, settings.seed, views)
        attempt = _attempt(path, scene, ply_bytes, options, poses, settings, progress, span)
        loss = attempt.fidelity.loss_db if attempt.fidelity is not None else 0.0
        if settings.palette is not None or palette == 0 or palette >= scene.count or loss <= 0.5 * settings.max_loss_db:
            break
        step = min(2.0, (attempt.ratio / (SPARE * settings.min_ratio)) ** (1.0 / GROWTH))
        if step < MIN_STEP:
            break
        palette = min(int(palette * step), scene.count)
    return attempt


def _attempt(
    path: Path,
    scene: Gaussians,
    ply_bytes: int,
    options: WriteOptions,
    poses: CameraPoses,
    settings: CompressionSettings,
    progress: Progress,
    span: tuple[float, float],
) -> Attempt:
    start, width = span
    palette = options.palette or 0
    progress.report(STAGE, start, 1.0, f"writing {scene.count:,} splats as SOG")
    started = time.perf_counter()
    write_splats(path, scene, options)
    seconds, size = time.perf_counter() - started, path.stat().st_size
    try:
        decoded = read_splats(path)
    except InvalidArtifact as error:
        return Attempt(size, ply_bytes / size, palette, seconds, decode_gate(scene.count, None, str(error)))

    def tick(done: int, total: int) -> None:
        progress.report(STAGE, start + width * (0.5 + 0.5 * done / total), 1.0, f"measuring, view {done} of {total}")

    fidelity, worst = measure(scene, decoded, poses, settings, tick)
    gate = decode_gate(scene.count, decoded.count)
    return Attempt(size, ply_bytes / size, palette, seconds, gate, fidelity, worst)
