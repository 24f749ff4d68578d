"""Plain numbers for `metrics.json`: no NumPy, no NaN, no location."""

from __future__ import annotations

import re
from typing import Any

from reconstruction_pipeline.artifacts.plain import plain as artifacts_plain

# Keys that could tell where, or with which device, the source was filmed.
PRIVATE_KEY = re.compile(
    r"(^|_)(gps|lat|latitude|lon|lng|longitude|alt|altitude|geo\w*|enu|location|place|address|serial|make|owner"
    r"|camera_model|device_model|device_make|software|creation_time|exif)(_|$)",
    re.IGNORECASE,
)
PRIVATE_LINE = re.compile(
    r"gps|latitude|longitude|altitude|location|com\.(apple|android)|\b(lat|lon|make|model)\s*[=:]", re.IGNORECASE
)


def plain(value: Any) -> Any:
    """As `artifacts.plain`, and private keys are left out."""
    return artifacts_plain(value, keep=lambda key: not PRIVATE_KEY.search(key))


def number_of(value: Any) -> float | None:
    """A finite float, or None for anything that is not a number."""
    value = plain(value)
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def without_private_lines(log: str) -> str:
    """A log without the lines that tell a place or a device (COLMAP prints the GPS tags it finds)."""
    note = "[a line with location or device data was left out]"
    lines = [note if PRIVATE_LINE.search(line) else line for line in log.splitlines()]
    return "\n".join(line for row, line in enumerate(lines) if not (row and line == note == lines[row - 1]))
