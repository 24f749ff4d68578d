"""Partition keys: what a video is called everywhere, safe as a folder name and in Dagster's UI."""

from __future__ import annotations

import re
import unicodedata
from pathlib import PurePosixPath

from reconstruction_pipeline.artifacts.errors import UsageError

_SAFE = re.compile(r"[a-z0-9][a-z0-9_-]{0,79}")


def video_key(name: str) -> str:
    """A safe slug for a file name or relative path: "Büro/Clip 01.MP4" -> "buro-clip-01".

    Dagster accepts any string as a dynamic partition, including "..", commas and newlines,
    which break paths and backfills; so only `[a-z0-9_-]` leave this function.
    """
    path = PurePosixPath(name.replace("\\", "/"))
    stem = "/".join([*path.parts[:-1], path.stem if path.suffix else path.name])
    ascii_text = unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9_]+", "-", ascii_text).strip("-_")[:60].strip("-_")
    return slug or "video"


def require_safe_key(key: str) -> str:
    """The key itself, or `UsageError` when it is not a safe slug."""
    if not _SAFE.fullmatch(key):
        raise UsageError(f"'{key}' is not a usable scene name; use letters a-z, digits, '-' and '_'.")
    return key
