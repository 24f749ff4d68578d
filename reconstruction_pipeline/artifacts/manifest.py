"""What is written beside the files of a stored artifact: everything needed to trust them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from reconstruction_pipeline.artifacts.base import Provenance
from reconstruction_pipeline.artifacts.errors import InvalidArtifact
from reconstruction_pipeline.artifacts.plain import plain
from reconstruction_pipeline.artifacts.verdict import Verdict

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class FileEntry:
    """Size in bytes and SHA-256 of one file."""

    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """One stored version of an artifact."""

    kind: str
    schema: int
    version: str
    created_at: str
    metrics: dict[str, Any]
    verdict: Verdict
    files: dict[str, FileEntry]
    provenance: Provenance = field(default_factory=Provenance)

    def dumps(self) -> str:
        """As JSON text."""
        body = plain(asdict(self) | {"verdict": self.verdict.to_json()})
        return json.dumps(body, indent=1, sort_keys=True, allow_nan=False)

    @classmethod
    def loads(cls, text: str) -> Manifest:
        """From JSON text; raises `InvalidArtifact` when it is not a manifest."""
        try:
            body = json.loads(text)
            body["verdict"] = Verdict.from_json(body["verdict"])
            body["files"] = {name: FileEntry(**entry) for name, entry in body["files"].items()}
            body["provenance"] = Provenance(**body["provenance"])
            return cls(**body)
        except (ValueError, KeyError, TypeError) as error:
            raise InvalidArtifact(f"a stored manifest is damaged ({error}); run the stage again.") from error


def first_difference(folder: Path, files: Mapping[str, FileEntry], thorough: bool = False) -> str | None:
    """The first file that is not as its entry says, or None: by its size, and if `thorough` by its hash too."""
    for name, entry in files.items():
        path = folder / name
        if not path.is_file() or path.stat().st_size != entry.bytes or (thorough and _sha256(path) != entry.sha256):
            return name
    return None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def describe_files(folder: Path) -> dict[str, FileEntry]:
    """Every file below `folder` except the manifest, by relative POSIX path."""
    entries = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and p.name != MANIFEST):
        entries[path.relative_to(folder).as_posix()] = FileEntry(path.stat().st_size, _sha256(path))
    return entries
