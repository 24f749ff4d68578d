"""Whether an upload becomes a run: read, recognised, registered. Knows of Dagster only its instance."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import dagster as dg

from reconstruction_pipeline.artifacts.errors import InputRejected
from reconstruction_pipeline.orchestration.catalog import Catalog, Entry
from reconstruction_pipeline.orchestration.names import VIDEOS
from reconstruction_pipeline.orchestration.uploads import Upload, key_for
from reconstruction_pipeline.settings import Settings

GB = 1e9
MAX_HASHED_BYTES = 4 * GB
"""Larger files are recognised by path, size and date alone: reading them takes longer than a tick may."""
RUN_KEY_TAG = "dagster/run_key"


@dataclass(frozen=True)
class Admission:
    """Decides on uploads, with the settings' bounds."""

    instance: dg.DagsterInstance
    catalog: Catalog
    settings: Settings

    def lacks_room(self, upload: Upload) -> str:
        """Why the upload has to wait, as a sentence; empty when its copy fits on the disk."""
        folder = Path(self.settings.storage) if self.settings.storage_is_local else self.settings.scratch
        while not folder.exists():
            folder = folder.parent
        free = shutil.disk_usage(folder).free / GB
        if free - upload.size / GB >= self.settings.operation.min_free_gb:
            return ""
        return (
            f"{upload.name} waits: {folder} has {free:.1f} GB free and must keep "
            f"{self.settings.operation.min_free_gb:g} GB; retire videos or run the retention job."
        )

    def request(self, upload: Upload, say: Callable[[str], None]) -> dg.RunRequest | None:
        """Register the upload and ask for its run; None when its content was registered and run before.

        Raises the probe's own refusal, `InputRejected` when it is too large, and `OSError` when it cannot be read.
        """
        self.check_size(upload)
        sha256 = self.content_sha256(upload)
        key = key_for(upload, sha256, self.catalog)
        # A new file may be a copy of any video; a changed one is a new version of its own.
        known = self.catalog.get(key) or (self.catalog.holding(sha256) if sha256 else None)
        if known is None or not _same(known, upload, sha256):
            known = self.catalog.register(Entry(key, upload.origin, sha256, "uploads", fingerprint=upload.fingerprint))
        elif self._was_run(known):
            say(f"{upload.name} has the content that '{known.key}' already has; not run again.")
            return None
        return dg.RunRequest(partition_key=known.key, run_key=_run_key(known))

    def check_size(self, upload: Upload) -> None:
        """Raise `InputRejected` for an upload over the limit."""
        limit = self.settings.operation.max_upload_gb
        if upload.size > limit * GB:
            raise InputRejected(f"{upload.name}: {upload.size / GB:.1f} GB is more than the limit of {limit:g} GB.")

    def content_sha256(self, upload: Upload, *, whatever_size: bool = False) -> str:
        """The content's hash after a probe; empty for what is far away or large, which its run will judge.

        `whatever_size` is for who has the time to read large files. Raises the probe's own refusal.
        """
        if not upload.is_local:
            return ""
        from reconstruction_pipeline.stages.ingest import content_sha256, probe

        path = Path(upload.origin)
        found = probe(path)
        return content_sha256(path, found) if whatever_size or upload.size <= MAX_HASHED_BYTES else ""

    def _was_run(self, known: Entry) -> bool:
        """Whether a run was asked for; a tick may have been lost between registering and that."""
        if not self.instance.has_dynamic_partition(VIDEOS, known.key):
            return False
        if known.via != "uploads":
            return True
        asked = dg.RunsFilter(tags={RUN_KEY_TAG: _run_key(known)})
        return bool(self.instance.get_runs(asked, limit=1))


def _same(known: Entry, upload: Upload, sha256: str) -> bool:
    if sha256:
        return known.sha256 == sha256
    return (known.origin, known.fingerprint) == (upload.origin, upload.fingerprint)


def _run_key(entry: Entry) -> str:
    """Dagster runs a key once for ever; a video that was retired and comes back has another date of registration."""
    return f"{entry.key}:{entry.sha256[:16] or entry.fingerprint}:{entry.added_at}"
