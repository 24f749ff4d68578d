"""The upload folder: which captures are in it, and what each is called."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from reconstruction_pipeline.artifacts.keys import video_key
from reconstruction_pipeline.orchestration.catalog import Catalog

SUFFIXES = {".mp4", ".mov", ".m4v", ".mkv", ".avi", ".webm", ".mts", ".m2ts", ".3gp", ".zip"}


@dataclass(frozen=True)
class Upload:
    """A file of the upload folder: its path relative to it, size in bytes and modification time in ns."""

    folder: Path
    name: str
    size: int
    modified_ns: int

    @property
    def path(self) -> Path:
        """Where the file is."""
        return self.folder / self.name

    @property
    def fingerprint(self) -> str:
        """Changes whenever the content may have changed; cheap enough to be taken of every file at every tick."""
        return f"{self.size}-{self.modified_ns}"


def find_uploads(folder: Path) -> list[Upload]:
    """Videos and archives below the folder, in name order; hidden and partial files are not seen."""
    found = []
    for path in sorted(folder.rglob("*")) if folder.is_dir() else []:
        relative = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in relative.parts)
        if hidden or path.suffix.lower() not in SUFFIXES:
            continue
        try:
            stat = path.stat()
        except OSError:  # gone meanwhile, or a dangling link
            continue
        if path.is_file():
            found.append(Upload(folder, relative.as_posix(), stat.st_size, stat.st_mtime_ns))
    return found


def key_for(upload: Upload, sha256: str, catalog: Catalog) -> str:
    """The partition key of an upload: from its relative path, and the same for ever.

    Where that key belongs to a capture from another place with other content, a suffix made from the path
    keeps the two apart.
    """
    key = video_key(upload.name)
    taken = catalog.get(key)
    if taken is None or taken.origin == str(upload.path) or taken.sha256 == sha256:
        return key
    return f"{key}-{hashlib.sha256(upload.name.encode()).hexdigest()[:8]}"
