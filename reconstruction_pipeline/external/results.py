"""What a program left: found by the paths of its descriptor, and believed only inside its output folder."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from reconstruction_pipeline.artifacts.errors import StageFailed

CLOCK_S = 2.0
"""How coarse a file system may count time."""


def find_results(output: Path, writes: Mapping[str, str], since: float = 0.0) -> dict[str, Path]:
    """Path by format, of files written after `since` (POSIX seconds).

    Raises `StageFailed` with what is missing, as the rest of a sentence.
    """
    return {form: _the_last(output, place, since) for place, form in writes.items()}


def newest(folder: Path, pattern: str, since: float = 0.0) -> Path | None:
    """Of the files of that pattern, written after `since`, the one with the highest number in its path, or None."""
    found = [path for path in folder.glob(pattern) if path.is_file() and path.stat().st_size]
    found = [path for path in found if path.stat().st_mtime >= since - CLOCK_S]
    return max(found, key=_natural, default=None)


def _the_last(output: Path, place: str, since: float) -> Path:
    if place in (".", "./"):
        if not any(output.iterdir()):
            raise StageFailed("left nothing in its output folder")
        return output
    path = newest(output, place, since)
    if path is None:
        left = sorted(item.relative_to(output).as_posix() for item in output.rglob("*"))[:5]
        raise StageFailed(f"left no '{place}' in its output folder (there is {', '.join(left) or 'nothing'})")
    if not path.resolve().is_relative_to(output.resolve()):
        raise StageFailed(f"left '{place}' as a link to a place outside its output folder")
    return path


def _natural(path: Path) -> list[tuple[int, str]]:
    return [(int(part) if part.isdigit() else -1, part) for part in re.split(r"(\d+)", path.as_posix())]
