"""Plain numbers for `metrics.json`: no NumPy, no NaN, no location."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

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
    """JSON's own types: NumPy becomes Python, NaN and infinities become None, private keys are left out."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items() if not PRIVATE_KEY.search(str(key))}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)


def number_of(value: Any) -> float | None:
    """A finite float, or None for anything that is not a number."""
    value = plain(value)
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def without_private_lines(log: str) -> str:
    """A log without the lines that tell a place or a device (COLMAP prints the GPS tags it finds)."""
    note = "[a line with location or device data was left out]"
    lines = [note if PRIVATE_LINE.search(line) else line for line in log.splitlines()]
    return "\n".join(line for row, line in enumerate(lines) if not (row and line == note == lines[row - 1]))
