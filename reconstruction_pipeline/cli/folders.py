"""Files that a command is given, and folders that it is going to write to."""

from __future__ import annotations

import tempfile
from pathlib import Path

from reconstruction_pipeline.artifacts.errors import UsageError


def require_writable(folder: Path) -> None:
    """Create the folder and write to it once: better now than after the work. Raises `UsageError`."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UsageError(f"{folder}: cannot be written ({error.strerror or error}); choose another --out.") from error


def require_file(path: Path) -> Path:
    """The path, or `UsageError` where there is no such file."""
    if not path.is_file():
        raise UsageError(f"{path}: there is no such file; check the path.")
    return path
