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
    bytes_of,
    codec_for,
    read_splats,
    write_splats,
)
from reconstruction_pipeline.stages.compression.codecs.streamed import StreamedSogCodec
from reconstruction_pipeline.viewer.streaming import write_streaming_page_around
from reconstruction_pipeline.viewer.vendor import template


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
    level: int = 0,
    levels: int | None = None,
    page: bool = False,
) -> Conversion:
    """Read `src`, change it, write `dst`; the formats follow from the names.

    In this order: `crop` keeps centres inside (low, high), in the world of `src`; `max_splats` keeps the
    largest by opacity times area; `sh` drops spherical harmonics above that degree; `rotate` turns the
    scene by degrees about the fixed axes x, then y, then z. `spz_version` is 2, 3 or 4. `level` of detail is read where
    `src` has several (0: the finest); into a `lod-meta.json`, `levels` are written (None: by the count), each with half
    of the splats of the one before, and with `page` an `index.html` that shows them. Raises
    `UsageError` for formats or options that make no sense and `InvalidArtifact` for a damaged file; `dst` is
    then left as it was.
    """
    codec = codec_for(dst)
    if src.resolve() == dst.resolve():
        raise UsageError(f"{dst}: the result would overwrite its source; give another name.")
    streamed = isinstance(codec, StreamedSogCodec)
    if not streamed and (page or levels is not None):
        raise UsageError(
            f"{dst}: --levels and --page are for {StreamedSogCodec.suffix}; give that name, or leave them."
        )
    if page:
        template()  # a missing viewer is said before the work, not after it
    scene = read_splats(src, level)
    count = scene.count
    if crop is not None:
        scene = edits.crop(scene, *crop)
    if max_splats is not None:
        scene = edits.keep_most_visible(scene, max_splats)
    if sh is not None:
        scene = edits.limit_harmonics(scene, sh)
    if rotate is not None:
        scene = edits.rotate(scene, rotate)
    write_splats(dst, scene, WriteOptions(spz_version=spz_version, levels=levels))
    if page:
        write_streaming_page_around(dst.parent, scene.means, dst.resolve().parent.name, f"{scene.count:,} splats")
    left_out = ""
    if codec.suffix in BASE_COLOUR_ONLY and sh_degree_of(scene) > 0:
        left_out = f"View-dependent colour is left out: {codec.suffix} has no place for it."
    return Conversion(count, scene.count, bytes_of(src), bytes_of(dst), left_out)
