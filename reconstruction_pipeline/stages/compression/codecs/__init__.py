"""Splat file formats behind one small interface, chosen by the file's name."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from reconstruction_pipeline.artifacts.errors import InvalidArtifact, UsageError
from reconstruction_pipeline.artifacts.gaussian_splats import Gaussians
from reconstruction_pipeline.stages.compression.codecs.base import Codec, WriteOptions, require_sound
from reconstruction_pipeline.stages.compression.codecs.compressed_ply import CompressedPlyCodec
from reconstruction_pipeline.stages.compression.codecs.glb import GlbCodec
from reconstruction_pipeline.stages.compression.codecs.ksplat import KsplatCodec
from reconstruction_pipeline.stages.compression.codecs.ply import PlyCodec
from reconstruction_pipeline.stages.compression.codecs.sog import SogCodec
from reconstruction_pipeline.stages.compression.codecs.splat import SplatCodec
from reconstruction_pipeline.stages.compression.codecs.spz import SpzCodec
from reconstruction_pipeline.stages.compression.codecs.streamed import StreamedSogCodec
from reconstruction_pipeline.stages.compression.codecs.streamed_reader import read_level, stored_files
from reconstruction_pipeline.stages.compression.codecs.usd import UsdCodec

__all__ = [
    "BASE_COLOUR_ONLY",
    "CODECS",
    "READ_ONLY",
    "WRITE_ONLY",
    "Codec",
    "WriteOptions",
    "bytes_of",
    "codec_for",
    "read_splats",
    "write_splats",
]

CODECS: dict[str, Codec] = {
    codec.suffix: codec
    for codec in (
        PlyCodec(),
        CompressedPlyCodec(),
        SogCodec(),
        SpzCodec(),
        SplatCodec(),
        GlbCodec(),
        KsplatCodec(),
        StreamedSogCodec(),
        UsdCodec(".usda"),
        UsdCodec(".usdz"),
    )
}
BASE_COLOUR_ONLY = frozenset({SplatCodec.suffix})
"""Formats without view-dependent colour."""
READ_ONLY = frozenset({KsplatCodec.suffix})
WRITE_ONLY = frozenset({".usda", ".usdz"})
NOT_SUPPORTED = {
    ".gltf": "glTF in several files; its binary form .glb is read and written",
}


def codec_for(path: Path) -> Codec:
    """The codec of the longest suffix that fits; raises `UsageError` for an unknown format."""
    fitting = [suffix for suffix in CODECS if path.name.lower().endswith(suffix)]
    known = ", ".join(sorted(CODECS))
    if path.suffix.lower() in NOT_SUPPORTED:
        raise UsageError(f"{path}: {path.suffix} is {NOT_SUPPORTED[path.suffix.lower()]}; use one of {known}.")
    if not fitting:
        raise UsageError(f"{path}: not a known splat format; use one of {known}.")
    return CODECS[max(fitting, key=len)]


def read_splats(path: Path, level: int = 0) -> Gaussians:
    """Read a scene of any known format; raises `UsageError` or `InvalidArtifact`.

    `level` of detail: 0 is the finest, and the only one but in streamed SOG.
    """
    codec = codec_for(path)
    if not path.is_file():
        raise InvalidArtifact(f"{path}: no such file; give a {codec.name} file.")
    streamed = isinstance(codec, StreamedSogCodec)
    if level and not streamed:
        raise UsageError(f"{path}: {codec.name} has no levels of detail; only {StreamedSogCodec.suffix} has.")
    with np.errstate(all="ignore"):  # damaged numbers are refused by a sentence, not announced by warnings
        return require_sound(path, read_level(path, level) if streamed else codec.read(path))


def bytes_of(path: Path) -> int:
    """Size of a scene on disk, with the files that it names."""
    files = stored_files(path) if isinstance(codec_for(path), StreamedSogCodec) else [path]
    return sum(file.stat().st_size for file in files)


def write_splats(path: Path, gaussians: Gaussians, options: WriteOptions | None = None) -> None:
    """Write a scene in the format of the file's name, through a temporary file beside it."""
    codec = codec_for(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    try:
        codec.write(partial, gaussians, options or WriteOptions())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
