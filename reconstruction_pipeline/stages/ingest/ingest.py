"""Copies an input into storage with its identity: nothing later reads the original again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import IO

from reconstruction_pipeline.artifacts.errors import InputRejected
from reconstruction_pipeline.artifacts.progress import NullProgress, Progress
from reconstruction_pipeline.artifacts.source_video import SourceVideo
from reconstruction_pipeline.artifacts.verdict import Gate, Verdict
from reconstruction_pipeline.stages.ingest.limits import IngestLimits
from reconstruction_pipeline.stages.ingest.probe import Probe, probe

CHUNK = 1 << 20


def ingest(
    path: Path, workspace: Path, progress: Progress | None = None, limits: IngestLimits | None = None
) -> SourceVideo:
    """Probe `path`, then copy it to `workspace/source/` while hashing, and write `probe.json`.

    Raises what `probe` raises, and `InputRejected` when the input changes or fails while it is read.
    """
    path = Path(path)
    found = probe(path, limits or IngestLimits())
    source = workspace / "source"
    source.mkdir(parents=True, exist_ok=True)
    digest, size = _read(path, found, source, progress or NullProgress(), limits or IngestLimits())
    document = {**found.to_json(), "sha256": digest, "bytes": size}
    (workspace / "probe.json").write_text(json.dumps(document, indent=1) + "\n")
    metrics = {key: value for key, value in document.items() if key not in ("name", "unusable")}
    return SourceVideo(workspace, {**metrics, "backend": "pyav", "fallback_level": 0}, Verdict.of(_gates(found)))


def content_sha256(path: Path, limits: IngestLimits | None = None) -> str:
    """The identity of an input, without copying it; `ingest` records the same.

    A video's is the SHA-256 of its bytes; that of a photo set the SHA-256 over the sorted (relative name,
    SHA-256) pairs of its readable photos, so that a folder and a zip of it are the same content.
    Raises what `ingest` raises.
    """
    path = Path(path)
    limits = limits or IngestLimits()
    return _read(path, probe(path, limits), None, NullProgress(), limits)[0]


def _read(path: Path, found: Probe, folder: Path | None, progress: Progress, limits: IngestLimits) -> tuple[str, int]:
    """(SHA-256, bytes) of the content, copied to `folder` if one is given."""
    try:
        if found.kind == "video":
            return _read_video(path, folder, progress)
        return _read_photos(path, found, folder, limits, progress)
    except OSError as error:
        raise InputRejected(f"{path.name}: copying stopped ({error.strerror or error}); check the disk.") from error


def _read_video(path: Path, folder: Path | None, progress: Progress) -> tuple[str, int]:
    total = path.stat().st_size
    # Not the original name: it may be long, private or illegal on an object store; probe.json keeps it.
    target = folder / f"video{path.suffix.lower()[:8]}" if folder else None
    with path.open("rb") as file:
        return _digest(file, target, lambda size: progress.report("ingest", min(size, total), total, "copying"))


def _read_photos(
    path: Path, found: Probe, folder: Path | None, limits: IngestLimits, progress: Progress
) -> tuple[str, int]:
    from reconstruction_pipeline.stages.ingest.photos import PhotoSet

    lines, total = [], 0
    with PhotoSet(path, limits) as photos:
        usable = [p for p in photos.photos if p.name not in found.unusable]
        for number, photo in enumerate(sorted(usable, key=lambda p: p.name), start=1):
            try:
                with photos.open(photo) as file:
                    digest, size = _digest(file, folder / photo.name if folder else None)
            except OSError:
                raise
            except Exception as error:  # zipfile and zlib raise many kinds on damaged archives
                raise InputRejected(f"{path.name}: '{photo.name}' is damaged ({error}); make the zip again.") from error
            lines.append(f"{photo.name}\0{digest}\n")
            total += size
            progress.report("ingest", number, len(usable), photo.name)
    return hashlib.sha256("".join(lines).encode()).hexdigest(), total


def _digest(source: IO[bytes], target: Path | None, report: Callable[[int], None] | None = None) -> tuple[str, int]:
    """Stream to `target`, if there is one; (SHA-256, bytes)."""
    digest, size = hashlib.sha256(), 0
    if target:
        target.parent.mkdir(parents=True, exist_ok=True)
    out = target.open("wb") if target else None
    try:
        while chunk := source.read(CHUNK):
            digest.update(chunk)
            if out:
                out.write(chunk)
            size += len(chunk)
            if report:
                report(size)
    finally:
        if out:
            out.close()
    return digest.hexdigest(), size


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
