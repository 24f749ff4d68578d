"""`reconstruct convert`: from one splat file to another."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from reconstruction_pipeline.artifacts.errors import UsageError
from reconstruction_pipeline.artifacts.ply import sh_degree_of
from reconstruction_pipeline.stages.compression import edits
from reconstruction_pipeline.stages.compression.codecs import (
    BASE_COLOUR_ONLY,
    WriteOptions,
    codec_for,
    read_splats,
    write_splats,
)


@dataclass(frozen=True)
class Conversion:
    """What a conversion did: splats read and written, the sizes of both files in bytes.

    `left_out` is a sentence about what the format has no place for, or empty.
    """

    splats_in: int
    splats_out: int
    bytes_in: int
    bytes_out: int
    left_out: str = ""


def convert(
    src: Path,
    dst: Path,
    sh: int | None = None,
    max_splats: int | None = None,
    rotate: edits.Vector | None = None,
    crop: tuple[edits.Vector, edits.Vector] | None = None,
    spz_version: int = WriteOptions.spz_version,
) -> Conversion:
    """Read `src`, change it, write `dst`; the formats follow from the names.

    In this order: `crop` keeps centres inside (low, high), in the world of `src`; `max_splats` keeps the
    largest by opacity times area; `sh` drops spherical harmonics above that degree; `rotate` turns the
    scene by degrees about the fixed axes x, then y, then z. `spz_version` is 2, 3 or 4. Raises
    `UsageError` for formats or options that make no sense and `InvalidArtifact` for a damaged file; `dst` is
    then left as it was.
    """
    codec = codec_for(dst)
    if src.resolve() == dst.resolve():
        raise UsageError(f"{dst}: the result would overwrite its source; give another name.")
    scene = read_splats(src)
    count = scene.count
    if crop is not None:
        scene = edits.crop(scene, *crop)
    if max_splats is not None:
        scene = edits.keep_most_visible(scene, max_splats)
    if sh is not None:
        scene = edits.limit_harmonics(scene, sh)
    if rotate is not None:
        scene = edits.rotate(scene, rotate)
    write_splats(dst, scene, WriteOptions(spz_version=spz_version))
    left_out = ""
    if codec.suffix in BASE_COLOUR_ONLY and sh_degree_of(scene) > 0:
        left_out = f"View-dependent colour is left out: {codec.suffix} has no place for it."
    return Conversion(count, scene.count, src.stat().st_size, dst.stat().st_size, left_out)
