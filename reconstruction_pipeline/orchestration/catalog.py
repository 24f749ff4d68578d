"""Which videos there are, under which names, and where they came from. Knows no Dagster.

One small file a video, `<storage>/catalog/<key>.json`. The command line, the upload sensor and the web
all register a capture here; the `source_video` asset then finds it by its partition key alone, so that
a backfill or a re-execution from the UI needs no configuration.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime

from upath import UPath

from reconstruction_pipeline.artifacts.errors import InvalidArtifact
from reconstruction_pipeline.artifacts.keys import require_safe_key

WEB = "web"
"""How a capture came that was sent to `reconstruct serve`: its file lies alone in a folder of its own."""


@dataclass(frozen=True)
class Entry:
    """A registered capture: `origin` is the path or URL it is ingested from.

    `fingerprint` is that of the file when it was uploaded; `sha256` is empty when it has not been read yet.
    """

    key: str
    origin: str
    sha256: str = ""
    via: str = "command line"
    added_at: str = ""
    fingerprint: str = ""


class Catalog:
    """The entries under `<root>/catalog`."""

    def __init__(self, root: str) -> None:
        self.folder = UPath(root) / "catalog"
        self.folder.fs.invalidate_cache()  # other processes write there; object stores remember listings

    def get(self, key: str) -> Entry | None:
        """The entry of a key, or None."""
        path = self.folder / f"{require_safe_key(key)}.json"
        return Entry(**json.loads(path.read_text())) if path.exists() else None

    def require(self, key: str) -> Entry:
        """The entry of a key; raises `InvalidArtifact` when nothing was registered under it."""
        if entry := self.get(key):
            return entry
        raise InvalidArtifact(f"{key}: no capture is registered under this name; add it with 'reconstruct run FILE'.")

    def register(self, entry: Entry) -> Entry:
        """Add or replace an entry."""
        entry = replace(entry, added_at=entry.added_at or datetime.now(UTC).isoformat(timespec="seconds"))
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{require_safe_key(entry.key)}.json"
        partial = self.folder / f".{entry.key}.{uuid.uuid4().hex[:8]}.partial"  # others may register it too
        partial.write_text(json.dumps(asdict(entry), indent=1))
        partial.rename(path)
        return entry

    def forget(self, key: str) -> None:
        """Remove an entry if there is one."""
        (self.folder / f"{require_safe_key(key)}.json").unlink(missing_ok=True)

    def holding(self, sha256: str) -> Entry | None:
        """The entry with this content, under whatever name; the first in name order."""
        entries = (self.get(path.stem) for path in sorted(self.folder.glob("*.json"), key=str))
        return next((entry for entry in entries if entry and entry.sha256 == sha256), None)

    def name_for(self, wanted: str, sha256: str) -> str:
        """`wanted`, or with a `-<hash8>` suffix when other content already has that name."""
        taken = self.get(wanted)
        return wanted if taken is None or taken.sha256 in ("", sha256) else f"{wanted[:70]}-{sha256[:8]}"

    def keys(self) -> list[str]:
        """The names of all entries, sorted."""
        return sorted(path.stem for path in self.folder.glob("*.json")) if self.folder.exists() else []
