"""The 3DGS `.ply` as a codec: exact, and the form every tool reads."""

from __future__ import annotations

from pathlib import Path

from reconstruction_pipeline.artifacts.gaussian_splats import Gaussians
from reconstruction_pipeline.artifacts.ply import read_ply, write_ply
from reconstruction_pipeline.artifacts.ply_header import read_header
from reconstruction_pipeline.stages.compression.codecs.base import WriteOptions, degree_to_write
from reconstruction_pipeline.stages.compression.codecs.compressed_ply import CompressedPlyCodec, is_compressed


class PlyCodec:
    """3DGS PLY of any SH degree up to 3: written as little-endian floats, read in every form PLY has."""

    name = "3DGS PLY"
    suffix = ".ply"

    def read(self, path: Path) -> Gaussians:
        """Read the scene; unused SH degrees are zero. A compressed PLY is one whatever its name."""
        if is_compressed(read_header(path)):
            return CompressedPlyCodec().read(path)
        return read_ply(path)

    def write(self, path: Path, gaussians: Gaussians, options: WriteOptions) -> None:
        """Write the scene with the SH degree asked for, or the smallest that loses nothing."""
        write_ply(path, gaussians, degree_to_write(gaussians, options))
