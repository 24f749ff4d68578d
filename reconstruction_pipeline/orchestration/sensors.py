"""Watches the upload folder and starts a run for every new or changed capture."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import dagster as dg

from reconstruction_pipeline.artifacts.errors import ReconstructionError
from reconstruction_pipeline.artifacts.keys import video_key
from reconstruction_pipeline.orchestration.catalog import Entry
from reconstruction_pipeline.orchestration.ingesting import open_catalog
from reconstruction_pipeline.orchestration.jobs import reconstruct_video
from reconstruction_pipeline.orchestration.names import videos
from reconstruction_pipeline.settings import load_settings

VIDEO_SUFFIXES = {".mp4", ".mov", ".m4v", ".mkv", ".avi", ".webm", ".mts", ".m2ts", ".3gp", ".zip"}
QUIET_SECONDS = 10.0
MAX_RUNS_PER_TICK = 25


@dataclass(frozen=True)
class Upload:
    """A file of the upload folder: its path relative to it, size in bytes and modification time in ns."""

    name: str
    size: int
    modified_ns: int

    @property
    def fingerprint(self) -> str:
        """Changes whenever the content may have changed; cheap, as hashing is the asset's work."""
        return f"{self.size}-{self.modified_ns}"


def find_uploads(folder: Path) -> list[Upload]:
    """Videos and archives below the folder, in name order; hidden and partial files are not seen."""
    found = []
    for path in sorted(folder.rglob("*")) if folder.is_dir() else []:
        relative = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in relative.parts)
        if hidden or path.suffix.lower() not in VIDEO_SUFFIXES or not path.is_file():
            continue
        stat = path.stat()
        found.append(Upload(relative.as_posix(), stat.st_size, stat.st_mtime_ns))
    return found


def settled(upload: Upload, seen: Mapping[str, str], now: float) -> bool:
    """Whether the file has stopped growing: unchanged since the last tick, and quiet for a while."""
    return seen.get(upload.name) == upload.fingerprint and now - upload.modified_ns / 1e9 >= QUIET_SECONDS


def keys_for(uploads: list[Upload]) -> dict[str, str]:
    """A distinct partition key for every upload, from its relative path alone."""
    import hashlib

    wanted: dict[str, list[str]] = {}
    for upload in uploads:
        wanted.setdefault(video_key(upload.name), []).append(upload.name)
    return {
        name: key if len(names) == 1 else f"{key}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
        for key, names in wanted.items()
        for name in names
    }


@dg.sensor(
    job=reconstruct_video,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.STOPPED,
    description="New or changed videos in the upload folder become partitions and runs; growing files wait.",
)
def video_uploads(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    """One tick: add partitions and request runs for captures that are complete and readable.

    The cursor holds what was seen (`seen`) and what was started (`started`), both as fingerprints by name.
    An unreadable file is refused with its sentence, once for every version of it, and makes no partition.
    """
    from reconstruction_pipeline.stages.ingest import probe

    folder = load_settings().uploads
    state = json.loads(context.cursor) if context.cursor else {"seen": {}, "started": {}}
    uploads = find_uploads(folder)
    keys = keys_for(uploads)
    catalog = open_catalog()
    started: dict[str, str] = {u.name: state["started"][u.name] for u in uploads if u.name in state["started"]}
    requests: list[dg.RunRequest] = []
    for upload in uploads:
        due = settled(upload, state["seen"], time.time()) and started.get(upload.name) != upload.fingerprint
        if not due or len(requests) >= MAX_RUNS_PER_TICK:
            continue
        started[upload.name] = upload.fingerprint
        path, key = folder / upload.name, keys[upload.name]
        try:
            probe(path)
        except ReconstructionError as error:
            context.log.warning(f"{upload.name} refused: {error}")
            continue
        catalog.register(Entry(key, str(path), via="uploads"))
        requests.append(dg.RunRequest(partition_key=key, run_key=f"{key}:{upload.fingerprint}"))
    cursor = json.dumps({"seen": {u.name: u.fingerprint for u in uploads}, "started": started})
    if not requests:
        context.update_cursor(cursor)
        return dg.SkipReason(f"No new complete capture among {len(uploads)} in {folder}.")
    added = [str(request.partition_key) for request in requests]
    return dg.SensorResult(
        run_requests=requests, dynamic_partitions_requests=[videos.build_add_request(added)], cursor=cursor
    )
