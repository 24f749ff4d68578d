"""What a scene has to show: its `metrics.json`, as the API gives it away."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from upath import UPath

from reconstruction_pipeline.gallery.entry import UNKNOWN, entry_of
from reconstruction_pipeline.report.downloads import LABELS
from reconstruction_pipeline.web.models import File

FIRST = {name: number for number, name in enumerate(LABELS)}


@dataclass(frozen=True)
class Delivered:
    """The scene in numbers and addresses; empty where nothing was delivered."""

    grade: str | None = None
    facts: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    files: list[File] = field(default_factory=list)
    metrics: dict[str, Any] | None = None

    def url(self, name: str) -> str | None:
        """The address of a file, if it was delivered."""
        return next((file.url for file in self.files if file.name == name), None)


def delivered(storage: str, key: str) -> Delivered:
    """Read what a scene delivered last."""
    folder = UPath(storage) / "deliverables" / key
    try:
        text = (folder / "metrics.json").read_text()
        metrics = json.loads(text)
        named = metrics["files"]
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
        return Delivered()
    entry = entry_of(key, text)
    files = [
        File(name=name, label=LABELS.get(name, name), bytes=size, url=f"/api/videos/{key}/files/{name}")
        for name, size in sorted(named.items(), key=lambda item: (FIRST.get(item[0], len(FIRST)), item[0]))
    ]
    return Delivered(
        grade=None if entry.grade == UNKNOWN else entry.grade,
        facts=list(entry.facts),
        warnings=[str(item) for item in metrics.get("warnings") or ()],
        files=files,
        metrics=metrics,
    )
