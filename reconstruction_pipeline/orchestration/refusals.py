"""Uploads that were refused, and why: a small file each, `<storage>/refused/<name>-<hash8>.json`. Knows no Dagster."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime

from upath import UPath

from reconstruction_pipeline.artifacts.keys import video_key


@dataclass(frozen=True)
class Refusal:
    """A file of the upload folder, as it was when it was refused, and the sentence for whoever put it there."""

    name: str
    fingerprint: str
    sentence: str
    at: str = ""


class Refusals:
    """The refusals under `<root>/refused`; the last one of every file."""

    def __init__(self, root: str) -> None:
        self.folder = UPath(root) / "refused"

    def record(self, refusal: Refusal) -> None:
        """Remember a refusal in place of an earlier one of the same file."""
        self.folder.mkdir(parents=True, exist_ok=True)
        dated = replace(refusal, at=refusal.at or datetime.now(UTC).isoformat(timespec="seconds"))
        self._file(refusal.name).write_text(json.dumps(asdict(dated), indent=1))

    def forget(self, name: str) -> None:
        """The file is gone, or was accepted."""
        self._file(name).unlink(missing_ok=True)

    def of(self, name: str) -> Refusal | None:
        """The refusal of a file, or None."""
        path = self._file(name)
        return Refusal(**json.loads(path.read_text())) if path.exists() else None

    def all(self) -> list[Refusal]:
        """Every refusal, by name of its file."""
        paths = self.folder.glob("*.json") if self.folder.exists() else []
        return sorted((Refusal(**json.loads(path.read_text())) for path in paths), key=lambda found: found.name)

    def _file(self, name: str) -> UPath:
        return self.folder / f"{video_key(name)}-{hashlib.sha256(name.encode()).hexdigest()[:8]}.json"
