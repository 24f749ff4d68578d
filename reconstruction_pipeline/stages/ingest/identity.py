"""What makes two captures the same: their content, never their name or place."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from reconstruction_pipeline.stages.ingest.limits import IngestLimits

if TYPE_CHECKING:
    from reconstruction_pipeline.stages.ingest.probe import Probe


def photo_set_sha256(photos: Iterable[tuple[str, str]]) -> str:
    """Identity of a photo set from its (relative name, SHA-256) pairs, in any order; a zip and its folder agree."""
    lines = "".join(f"{name}\0{digest}\n" for name, digest in sorted(photos))
    return hashlib.sha256(lines.encode()).hexdigest()


def video_sha256(digest: str, log: Path | None) -> str:
    """Identity of a video from the SHA-256 of its bytes: that itself, or one with its GPS log, which is content too."""
    if log is None:
        return digest
    with log.open("rb") as file:
        side = hashlib.file_digest(file, "sha256").hexdigest()
    return photo_set_sha256([("video", digest), ("gps" + log.suffix.lower(), side)])


def content_sha256(path: Path, found: Probe | None = None) -> str:
    """The hash that `ingest` will give this capture, without copying it; `found` is what `probe` says of it."""
    from reconstruction_pipeline.stages.ingest.photos import PhotoSet
    from reconstruction_pipeline.stages.ingest.probe import probe
    from reconstruction_pipeline.stages.ingest.side_files import gps_log_of

    found = found or probe(path)
    if found.kind == "video":
        with path.open("rb") as file:
            return video_sha256(hashlib.file_digest(file, "sha256").hexdigest(), gps_log_of(path))
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
