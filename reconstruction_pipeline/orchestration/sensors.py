"""Watches the upload folder and starts a run for every new or changed capture."""

import json
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import dagster as dg

from reconstruction_pipeline.artifacts.errors import ReconstructionError
from reconstruction_pipeline.orchestration.catalog import Entry
from reconstruction_pipeline.orchestration.ingesting import open_catalog
from reconstruction_pipeline.orchestration.jobs import reconstruct_video
from reconstruction_pipeline.orchestration.names import VIDEOS, videos
from reconstruction_pipeline.orchestration.uploads import Upload, find_uploads, key_for
from reconstruction_pipeline.settings import load_settings

QUIET_SECONDS = 10.0
MAX_RUNS_PER_TICK = 25
# Reading large files for their hash takes time, and Dagster gives a tick only so much.
MAX_SECONDS_PER_TICK = 20.0


@dataclass
class Memory:
    """The cursor: by file name, its fingerprint with the time it was first seen, and the one last dealt with."""

    seen: dict[str, tuple[str, float]] = field(default_factory=dict)
    started: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, cursor: str | None, uploads: list[Upload], now: float) -> tuple["Memory", list[Upload]]:
        """The memory after looking at `uploads` (deleted files are forgotten), and those of them that are due.

        A file is due once it was the same for `QUIET_SECONDS` over two ticks, and was not dealt with as it is.
        """
        before = cls(**json.loads(cursor)) if cursor else cls()
        after, due = cls(), []
        for upload in uploads:
            fingerprint, since = before.seen.get(upload.name, ("", now))
            same = fingerprint == upload.fingerprint
            after.seen[upload.name] = (upload.fingerprint, since if same else now)
            if upload.name in before.started:
                after.started[upload.name] = before.started[upload.name]
            if same and now - since >= QUIET_SECONDS and before.started.get(upload.name) != upload.fingerprint:
                due.append(upload)
        return after, due

    def dumps(self) -> str:
        """As the sensor's cursor."""
        return json.dumps(asdict(self))


@dg.sensor(
    job=reconstruct_video,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.STOPPED,
    description="New or changed videos in the upload folder become partitions and runs; growing files wait.",
)
def video_uploads(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    """One tick: add partitions and request runs for captures that are complete and readable.

    An unreadable file is refused with its sentence, once for every version of it, and makes no partition.
    Content that a video already has is not run again, whatever its file's date says.
    """
    began, folder = time.monotonic(), Path(load_settings().uploads)
    uploads = find_uploads(folder)
    memory, due = Memory.of(context.cursor, uploads, time.time())
    requests: list[dg.RunRequest] = []
    for upload in due:
        if len(requests) >= MAX_RUNS_PER_TICK or time.monotonic() - began > MAX_SECONDS_PER_TICK:
            break  # what is left is due at the next tick
        memory.started[upload.name] = upload.fingerprint
        try:
            if request := _request(context, upload):
                requests.append(request)
        except ReconstructionError as error:
            context.log.warning(f"{upload.name} refused: {error}")
    if not requests:
        context.update_cursor(memory.dumps())
        return dg.SkipReason(f"No new complete capture among {len(uploads)} in {folder}.")
    added = videos.build_add_request([str(request.partition_key) for request in requests])
    return dg.SensorResult(run_requests=requests, dynamic_partitions_requests=[added], cursor=memory.dumps())


def _request(context: dg.SensorEvaluationContext, upload: Upload) -> dg.RunRequest | None:
    """Register a capture and ask for its run; None when its content was registered and run before."""
    from reconstruction_pipeline.stages.ingest import content_sha256, probe

    probe(upload.path)
    sha256 = content_sha256(upload.path)
    catalog = open_catalog()
    key = key_for(upload, sha256, catalog)
    # A new file may be a copy of any video; a changed one is a new version of its own.
    known = catalog.get(key) or catalog.holding(sha256)
    if known and known.sha256 == sha256 and context.instance.has_dynamic_partition(VIDEOS, known.key):
        context.log.info(f"{upload.name} has the content that '{known.key}' already has; not run again.")
        return None
    catalog.register(Entry(key, str(upload.path), sha256, via="uploads"))
    return dg.RunRequest(partition_key=key, run_key=f"{key}:{upload.fingerprint}")
