"""The tables and the small document of a `Keyframes` artifact."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any


def write_table(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """CSV with the columns of the first row; floats keep six digits, None is empty."""
    rows = list(rows)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]) if rows else ["name"])
        writer.writeheader()
        for row in rows:
            writer.writerow({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()})


def write_camera(path: Path, ordered: bool, width: int | None, height: int | None, focal_px: float | None) -> None:
    """`camera.json`; width and height are None when the photos differ in size."""
    document = {"ordered": ordered, "width": width, "height": height, "focal_px": focal_px}
    path.write_text(json.dumps(document, indent=1) + "\n")
