"""`reconstruct convert`: from one splat file to another."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from reconstruction_pipeline.artifacts.errors import UsageError
from reconstruction_pipeline.stages.compression import edits
from reconstruction_pipeline.stages.compression.codecs import WriteOptions, codec_for, read_splats, write_splats


@dataclass(frozen=True)
class Conversion:
    """What a conversion did: splats read and written, and the sizes of both files in bytes."""

    splats_in: int
    splats_out: int
    bytes_in: int
    bytes_out: int


def convert(
    src: Path,
    dst: Path,
    sh: int | None = None,
    max_splats: int | None = None,
    rotate: edits.Vector | None = None,
    crop: tuple[edits.Vector, edits.Vector] | None = None,
) -> Conversion:
    """Read `src`, change it, write `dst`; the formats follow from the names.

    In this order: `crop` keeps centres inside (low, high), in the world of `src`; `max_splats` keeps the
    largest by opacity times area; `sh` drops spherical harmonics above that degree; `rotate` turns the
    scene by degrees about the fixed axes x, then y, then z. Raises `UsageError` for formats or options that
    make no sense and `InvalidArtifact` for a damaged file; `dst` is then left as it was.
    """
    codec_for(dst)
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
    write_splats(dst, scene, WriteOptions())
    return Conversion(count, scene.count, src.stat().st_size, dst.stat().st_size)
