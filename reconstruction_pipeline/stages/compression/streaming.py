"""The streamed form of a large scene: written, every level decoded again and rendered, and its page."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from reconstruction_pipeline.artifacts.errors import InvalidArtifact
from reconstruction_pipeline.artifacts.gaussian_splats import Gaussians
from reconstruction_pipeline.artifacts.verdict import Gate
from reconstruction_pipeline.stages.compression.codecs import WriteOptions, bytes_of, read_splats, write_splats
from reconstruction_pipeline.stages.compression.codecs.streamed import NAME, STEP
from reconstruction_pipeline.stages.compression.codecs.streamed_reader import read_manifest
from reconstruction_pipeline.stages.compression.delivery import Delivery
from reconstruction_pipeline.stages.compression.fidelity import Yardstick
from reconstruction_pipeline.stages.compression.gates import decode_gate, levels_gate
from reconstruction_pipeline.stages.compression.settings import CompressionSettings

FOLDER = "streamed"


@dataclass(frozen=True)
class Streamed:
    """The finest level as a `Delivery` of its own; `level_db`: PSNR of each coarser level to the full scene.

    Each is measured where it is meant to be seen: in pictures with half of the pixels of those of the level before it.
    """

    finest: Delivery
    counts: tuple[int, ...]
    level_db: tuple[float, ...] = ()
    coarsest_bytes: int = 0

    def gates(self, settings: CompressionSettings) -> list[Gate]:
        """Those of the finest level as of any file, and one for all coarser levels."""
        gates = self.finest.gates(settings)
        return [*gates, levels_gate(self.level_db, settings)] if self.level_db else gates

    def metrics(self) -> dict[str, float | int | None]:
        """`streamed_…` as of any file, `streamed_levels`, the coarsest level's size and the worst one's PSNR."""
        return {
            **self.finest.metrics(),
            "streamed_levels": len(self.counts),
            "streamed_coarsest_count": self.counts[-1] if self.counts else None,
            "streamed_coarsest_bytes": self.coarsest_bytes,
            "streamed_worst_level_db": round(min(self.level_db), 2) if self.level_db else None,
        }


def deliver_streamed(
    folder: Path,
    scene: Gaussians,
    ply_bytes: int,
    options: WriteOptions,
    yardstick: Yardstick,
    tick: Callable[[int, int], None],
) -> Streamed:
    """Write `scene` into `folder` as streamed SOG and read every level back; `tick(done, total)` by level."""
    path, started = folder / NAME, time.perf_counter()
    write_splats(path, scene, options)
    seconds, size = time.perf_counter() - started, bytes_of(path)
    manifest = read_manifest(path)
    ratio, levels = ply_bytes / size, len(manifest.counts)
    counts = tuple(manifest.counts)
    try:
        decoded = read_splats(path)
        fidelity, worst, beside = yardstick.measure(decoded, lambda done, total: None)
        tick(1, levels)
        level_db = []
        for level in range(1, levels):
            level_db.append(yardstick.from_afar(read_splats(path, level), STEP**level))
            tick(level + 1, levels)
    except InvalidArtifact as error:
        broken = decode_gate(FOLDER, scene.count, None, str(error))
        return Streamed(Delivery(FOLDER, size, ratio, seconds, broken), counts)
    gate = decode_gate(FOLDER, scene.count, decoded.count)
    finest = Delivery(FOLDER, size, ratio, seconds, gate, fidelity, worst, beside)
    names = {manifest.filenames[piece.file] for piece in manifest.pieces[-1]}
    coarsest = sum(file.stat().st_size for name in names for file in (folder / name).parent.iterdir())
    return Streamed(finest, counts, tuple(level_db), coarsest)
