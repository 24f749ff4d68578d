"""Copies an input into storage with its identity: nothing later reads the original again."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import IO

from reconstruction_pipeline.artifacts.errors import InputRejected
from reconstruction_pipeline.artifacts.progress import NullProgress, Progress
from reconstruction_pipeline.artifacts.source_video import SourceVideo
from reconstruction_pipeline.artifacts.verdict import Gate, Verdict
from reconstruction_pipeline.stages.ingest.identity import photo_set_sha256, video_sha256
from reconstruction_pipeline.stages.ingest.limits import IngestLimits
from reconstruction_pipeline.stages.ingest.probe import Probe, probe
from reconstruction_pipeline.stages.ingest.side_files import STORED, gps_of, masks_gate, video_sides

CHUNK = 1 << 20


def ingest(
    path: Path, workspace: Path, progress: Progress | None = None, limits: IngestLimits | None = None
) -> SourceVideo:
    """Probe `path`, then copy it to `workspace/source/` while hashing, and write `probe.json`.

    A GPS log and masks beside a video, and masks and a GPS table among photos, come along (`side_files`), and count as
    content.
    The hash of a video is the SHA-256 of its bytes; that of a photo set the SHA-256 over the sorted
    (relative name, SHA-256) pairs, so that a folder and a zip of it are the same content.
    Raises what `probe` raises, and `InputRejected` when the input changes or fails while it is read.
    """
    progress = progress or NullProgress()
    limits = limits or IngestLimits()
    path = Path(path)
    found = probe(path, limits)
    source = workspace / "source"
    source.mkdir(parents=True, exist_ok=True)
    gates: list[Gate] = []
    given: list[Gate] = []
    try:
        if found.kind == "video":
            digest, size = _copy_video(path, source, progress)
            digest = video_sha256(digest, _copy_sides(path, source))
        else:
            digest, size, gates, given = _copy_photos(path, found, source, limits, progress)
        gates += gps_of(found, path, workspace)
    except OSError as error:
        raise InputRejected(f"{path.name}: copying stopped ({error.strerror or error}); check the disk.") from error
    document = {**found.to_json(), "sha256": digest, "bytes": size}
    (workspace / "probe.json").write_text(json.dumps(document, indent=1) + "\n")
    metrics = {key: value for key, value in document.items() if key not in ("name", "unusable")}
    return SourceVideo(
        workspace, {**metrics, "backend": "pyav", "fallback_level": 0}, Verdict.of(_gates(found) + given + gates[:1])
    )


def _gates(found: Probe) -> list[Gate]:
    if found.kind == "video":
        return []
    named = ", ".join(found.unusable[:5])
    return [
        Gate(
            "photos_readable",
            not found.unusable,
            "warn",
            f"{len(found.unusable)} photos cannot be read: {named}." if found.unusable else "Every photo can be read.",
            len(found.unusable),
            0,
            "Copy them again." if found.unusable else "",
        )
    ]


def _copy(source: IO[bytes], target: Path, report: object = None) -> tuple[str, int]:
    """Stream to `target`; (SHA-256, bytes)."""
    digest, size = hashlib.sha256(), 0
    with target.open("wb") as out:
        while chunk := source.read(CHUNK):
            digest.update(chunk)
            out.write(chunk)
            size += len(chunk)
            if callable(report):
                report(size)
    return digest.hexdigest(), size


def _copy_video(path: Path, folder: Path, progress: Progress) -> tuple[str, int]:
    total = path.stat().st_size
    # Not the original name: it may be long, private or illegal on an object store; probe.json keeps it.
    target = folder / f"{STORED}{path.suffix.lower()[:8]}"
    with path.open("rb") as file:
        return _copy(file, target, lambda size: progress.report("ingest", min(size, total), total, "copying"))


def _copy_sides(path: Path, folder: Path) -> dict[str, str]:
    """Copy what came beside a video; SHA-256 by stored name."""
    digests = {}
    for name, side in video_sides(path).items():
        (folder / name).parent.mkdir(exist_ok=True)
        with side.open("rb") as file:
            digests[name], _ = _copy(file, folder / name)
    return digests


def _copy_photos(
    path: Path, found: Probe, folder: Path, limits: IngestLimits, progress: Progress
) -> tuple[str, int, list[Gate], list[Gate]]:
    from reconstruction_pipeline.stages.ingest.photos import PhotoSet
    from reconstruction_pipeline.stages.ingest.posed import poses_gate

    pairs, total = [], 0
    with PhotoSet(path, limits) as photos:
        side_files, strays = photos.side_files()
        usable = [p for p in photos.photos if p.name not in found.unusable] + side_files
        for number, photo in enumerate(sorted(usable, key=lambda p: p.name), start=1):
            target = folder / photo.name
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                with photos.open(photo) as file:
                    digest, size = _copy(file, target)
            except Exception as error:
                if isinstance(error, OSError):
                    raise
                raise InputRejected(f"{path.name}: '{photo.name}' is damaged ({error}); make the zip again.") from error
            pairs.append((photo.name, digest))
            total += size
            progress.report("ingest", number, len(usable), photo.name)
    given = [poses_gate(photos.posed)] if photos.posed else []
    return photo_set_sha256(pairs), total, masks_gate(strays), given
