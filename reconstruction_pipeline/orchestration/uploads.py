"""The upload folder: which captures are in it, and what each is called. Local, or any fsspec URL."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

from upath import UPath

from reconstruction_pipeline.artifacts.keys import video_key
from reconstruction_pipeline.orchestration.catalog import Catalog
from reconstruction_pipeline.stages.ingest.side_files import is_video_mask

SUFFIXES = {".mp4", ".mov", ".m4v", ".mkv", ".avi", ".webm", ".mts", ".m2ts", ".3gp", ".zip"}


@dataclass(frozen=True)
class Upload:
    """A file of the upload folder.

    `place` is the folder or URL, `name` the path relative to it, `size` is in bytes, and `stamp` changes with the
    content: a modification time or what an object store calls an ETag.
    """

    place: str
    name: str
    size: int
    stamp: str

    @property
    def origin(self) -> str:
        """Where the file is: a path or a URL."""
        return f"{self.place.rstrip('/')}/{self.name}"

    @property
    def is_local(self) -> bool:
        """Whether the file can be read where it is."""
        return "://" not in self.place

    @property
    def fingerprint(self) -> str:
        """Changes whenever the content may have changed; cheap enough to be taken of every file at every tick."""
        return f"{self.size}-{self.stamp}"


def find_uploads(place: str) -> list[Upload]:
    """Videos and archives below the place, in name order; an absent place is an empty one.

    Hidden and partial files are not seen. Nor are links and what is behind them, so that an upload cannot show the
    pipeline files from outside its folder. The mask video of another video is part of that one.
    """
    found = list(_local_files(place) if "://" not in place else _remote_files(place))
    beside: dict[str, list[str]] = {}
    for upload in found:
        folder, _, name = upload.name.rpartition("/")
        beside.setdefault(folder, []).append(name)
    own = [u for u in found if not is_video_mask(u.name.rpartition("/")[2], beside[u.name.rpartition("/")[0]])]
    return sorted(own, key=lambda upload: upload.name)


def _local_files(place: str) -> Iterator[Upload]:
    for folder, subfolders, names in os.walk(place, followlinks=False):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        for name in names:
            path = Path(folder, name)
            if not _is_capture(name) or path.is_symlink():
                continue
            try:
                stat = path.stat()
            except OSError:  # gone meanwhile
                continue
            if path.is_file():
                yield Upload(place, path.relative_to(place).as_posix(), stat.st_size, str(stat.st_mtime_ns))


def _remote_files(place: str) -> Iterator[Upload]:
    root = UPath(place)
    root.fs.invalidate_cache()
    top = root.path.rstrip("/") + "/"
    for path, info in root.fs.find(root.path, detail=True).items():
        name = path.removeprefix(top) if path.startswith(top) else "/" + path
        parts = PurePosixPath(name).parts
        safe = not name.startswith("/") and not any(part.startswith(".") for part in parts)
        if safe and info.get("type") == "file" and not info.get("islink") and _is_capture(parts[-1]):
            yield Upload(place, name, int(info["size"]), _stamp(info))


def _stamp(info: dict[str, Any]) -> str:
    """What the filesystem has that changes with the content; names differ by filesystem."""
    for name in ("ETag", "etag", "LastModified", "last_modified", "mtime", "modified", "created"):
        if value := info.get(name):
            return value.isoformat() if isinstance(value, datetime) else str(value).strip('"')
    return ""


def _is_capture(name: str) -> bool:
    return not name.startswith(".") and PurePosixPath(name).suffix.lower() in SUFFIXES


def key_for(upload: Upload, sha256: str, catalog: Catalog) -> str:
    """The partition key of an upload: from its relative path, and the same for ever.

    Where that key belongs to a capture from another place with other content, a suffix made from the path
    keeps the two apart.
    """
    key = video_key(upload.name)
    taken = catalog.get(key)
    if taken is None or taken.origin == upload.origin or (sha256 and taken.sha256 == sha256):
        return key
    return f"{key}-{hashlib.sha256(upload.name.encode()).hexdigest()[:8]}"
