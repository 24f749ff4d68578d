"""`.splat`: 32 bytes per splat and no header (antimatter15's viewer, github.com/antimatter15/splat).

Position and size are exact floats (size linear), colour and opacity four bytes, the rotation four bytes wxyz that
stand for (b - 128) / 128. View-dependent colour is lost. Numbers are those of the PLY (y-down).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from reconstruction_pipeline.artifacts.errors import InvalidArtifact
from reconstruction_pipeline.artifacts.gaussian_splats import Gaussians
from reconstruction_pipeline.stages.compression.codecs.base import WriteOptions, require_writable
from reconstruction_pipeline.stages.compression.codecs.importance import opacity_area
from reconstruction_pipeline.stages.compression.codecs.quantise import (
    SH_0,
    blocks,
    opacity_byte,
    opacity_logit,
    smallest_three,
    unit_quaternions,
)

RECORD = np.dtype([("mean", "<f4", 3), ("scale", "<f4", 3), ("rgba", "u1", 4), ("quat", "u1", 4)])
SMALLEST = 1e-30  # of a size, whose logarithm is taken


class SplatCodec:
    """The oldest web format; the base colour only."""

    name = "antimatter15 splat"
    suffix = ".splat"

    def read(self, path: Path) -> Gaussians:
        """Read the records; raises `InvalidArtifact` when the size is not theirs or a number is not finite."""
        size = path.stat().st_size
        if size == 0 or size % RECORD.itemsize:
            raise InvalidArtifact(
                f"{path}: not a readable .splat file, {size} bytes are no whole number of 32-byte splats; "
                "make it again."
            )
        records = np.memmap(path, RECORD, "r")
        if not (records["scale"] >= 0).all():
            raise InvalidArtifact(f"{path}: not a readable .splat file, a size in it is negative; make it again.")
        sh = np.zeros((len(records), 16, 3), np.float32)
        sh[:, 0] = (records["rgba"][:, :3] / 255.0 - 0.5) / SH_0
        return Gaussians(
            np.array(records["mean"], np.float32),
            np.log(np.maximum(records["scale"], SMALLEST)).astype(np.float32),
            unit_quaternions((records["quat"].astype(np.float64) - 128.0) / 128.0).astype(np.float32),
            opacity_logit(records["rgba"][:, 3]),
            sh,
        )

    def write(self, path: Path, gaussians: Gaussians, options: WriteOptions) -> None:
        """Write the most visible splats first, as viewers that stream the format expect."""
        require_writable(path, gaussians)
        order = np.argsort(-opacity_area(gaussians), kind="stable")
        with path.open("wb") as file:
            for block in blocks(gaussians.count):
                file.write(_records(gaussians.take(order[block])).tobytes())


def _records(scene: Gaussians) -> np.ndarray:
    records = np.zeros(scene.count, RECORD)
    records["mean"] = scene.means
    records["scale"] = np.exp(np.clip(scene.log_scales.astype(np.float64), -69.0, 88.0))
    colour = np.clip(0.5 + SH_0 * scene.sh[:, 0].astype(np.float64), 0.0, 1.0)
    records["rgba"][:, :3] = np.rint(255.0 * colour)
    records["rgba"][:, 3] = opacity_byte(scene.opacity_logits)
    # -1 is a byte and +1 is not, and q and -q are the same rotation: so the largest component is made negative.
    quats = unit_quaternions(scene.quats)
    _, largest = smallest_three(quats)
    quats *= np.where(quats[np.arange(len(quats)), largest] > 0, -1.0, 1.0)[:, None]
    records["quat"] = np.clip(np.rint(quats * 128.0 + 128.0), 0, 255)
    return records
