"""The 3DGS `.ply` as a codec: exact, and the form every tool reads."""

from __future__ import annotations

from pathlib import Path

from reconstruction_pipeline.artifacts.gaussian_splats import Gaussians
from reconstruction_pipeline.artifacts.ply import read_ply, sh_degree_of, write_ply
from reconstruction_pipeline.stages.compression.codecs.base import WriteOptions


class PlyCodec:
    """Binary little-endian 3DGS PLY of any SH degree up to 3."""

    name = "3DGS PLY"
    suffix = ".ply"

    def read(self, path: Path) -> Gaussians:
        """Read the scene; unused SH degrees are zero."""
        return read_ply(path)

    def write(self, path: Path, gaussians: Gaussians, options: WriteOptions) -> None:
        """Write the scene with the SH degree asked for, or the smallest that loses nothing."""
        degree = sh_degree_of(gaussians) if options.sh_degree is None else options.sh_degree
        write_ply(path, gaussians, degree)
