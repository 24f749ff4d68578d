"""What makes two captures the same: their content, never their name or place."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from reconstruction_pipeline.stages.ingest.limits import IngestLimits

if TYPE_CHECKING:
    from reconstruction_pipeline.stages.ingest.probe import Probe


def photo_set_sha256(photos: Iterable[tuple[str, str]]) -> str:
    """Identity of a photo set from its (relative name, SHA-256) pairs, in any order; a zip and its folder agree."""
    lines = "".join(f"{name}\0{digest}\n" for name, digest in sorted(photos))
    return hashlib.sha256(lines.encode()).hexdigest()


def video_sha256(digest: str, sides: Mapping[str, str]) -> str:
    """Identity of a video from the SHA-256 of its bytes: that itself, or one with what came beside it, which is content
    too. `sides` are SHA-256 by stored name; a log counts as `gps.<suffix>`.
    """
    named = [(name.replace("video.", "gps.", 1), side) for name, side in sides.items()]
    return photo_set_sha256([("video", digest), *named]) if named else digest


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def content_sha256(path: Path, found: Probe | None = None) -> str:
    """The hash that `ingest` will give this capture, without copying it; `found` is what `probe` says of it."""
    from reconstruction_pipeline.stages.ingest.photos import PhotoSet
    from reconstruction_pipeline.stages.ingest.probe import probe
    from reconstruction_pipeline.stages.ingest.side_files import video_sides

    found = found or probe(path)
    if found.kind == "video":
        sides = {name: file_sha256(side) for name, side in video_sides(path).items()}
        return video_sha256(file_sha256(path), sides)
    pairs = []
    with PhotoSet(path, IngestLimits()) as photos:
        for photo in photos.photos + photos.side_files()[0]:
            if photo.name not in found.unusable:
                with photos.open(photo) as file:
                    digest = hashlib.sha256()
                    while chunk := file.read(1 << 20):
                        digest.update(chunk)
                    pairs.append((photo.name, digest.hexdigest()))
    return photo_set_sha256(pairs)
