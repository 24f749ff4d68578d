"""One delivered file, of any format: written, decoded again, rendered and judged."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from reconstruction_pipeline.artifacts.errors import InvalidArtifact
from reconstruction_pipeline.artifacts.gaussian_splats import Gaussians
from reconstruction_pipeline.artifacts.verdict import Gate
from reconstruction_pipeline.stages.compression.codecs import WriteOptions, read_splats, write_splats
from reconstruction_pipeline.stages.compression.fidelity import Fidelity, Pair, Yardstick
from reconstruction_pipeline.stages.compression.gates import decode_gate, loss_gate, off_path_gate
from reconstruction_pipeline.stages.compression.settings import CompressionSettings

FIGURES = ("psnr_loss_db", "psnr_vs_ply_db", "psnr_vs_ply_off_path_db")


@dataclass(frozen=True)
class Delivery:
    """`scene.<name>`: its size in bytes, the PLY's over it, seconds to write, and what its pictures lost.

    `fidelity` and the two pairs of pictures (held out and off the path, where it differs most) are None if the
    file does not decode.
    """

    name: str
    file_bytes: int
    ratio: float
    seconds: float
    decoded: Gate
    fidelity: Fidelity | None = None
    worst: Pair | None = None
    worst_off_path: Pair | None = None

    def gates(self, settings: CompressionSettings) -> list[Gate]:
        """Whether it decodes; and, if so, whether it is true enough."""
        if self.fidelity is None:
            return [self.decoded]
        loss, beside = (rule(self.name, self.fidelity, settings) for rule in (loss_gate, off_path_gate))
        return [self.decoded, loss, beside]

    def metrics(self) -> dict[str, float | int | None]:
        """`<name>_bytes`, `<name>_ratio`, `<name>_encode_seconds` and the three losses (None if unknown)."""
        fidelity = self.fidelity
        figures: tuple[float | None, ...] = (None, None, None)
        if fidelity is not None:
            figures = (fidelity.loss_db, fidelity.against_reference_db, fidelity.off_path_db)
        metrics: dict[str, float | int | None] = {
            f"{self.name}_bytes": self.file_bytes,
            f"{self.name}_ratio": round(self.ratio, 2),
            f"{self.name}_encode_seconds": round(self.seconds, 2),
        }
        for figure, value in zip(FIGURES, figures, strict=True):
            metrics[f"{self.name}_{figure}"] = None if value is None else round(value, 4)
        return metrics


def deliver(
    path: Path,
    scene: Gaussians,
    ply_bytes: int,
    options: WriteOptions,
    yardstick: Yardstick,
    tick: Callable[[int, int], None],
    write: Callable[[Path, Gaussians, WriteOptions], None] = write_splats,
) -> Delivery:
    """Let `write` put `scene` to `path`, read it back and measure that; the format's name is the file's suffix."""
    name = path.name.split(".", 1)[1]
    started = time.perf_counter()
    write(path, scene, options)
    seconds, size = time.perf_counter() - started, path.stat().st_size
    try:
        decoded = read_splats(path)
    except InvalidArtifact as error:
        return Delivery(name, size, ply_bytes / size, seconds, decode_gate(name, scene.count, None, str(error)))
    gate = decode_gate(name, scene.count, decoded.count)
    fidelity, worst, beside = yardstick.measure(decoded, tick)
    return Delivery(name, size, ply_bytes / size, seconds, gate, fidelity, worst, beside)
