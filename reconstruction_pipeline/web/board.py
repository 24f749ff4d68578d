"""The state of every video, read from Dagster's instance once a second for all who ask.

Nothing is decided or kept here: it is a copy, so that two hundred clients cost the instance as much as one. A new
process has it again after its first look.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta

import dagster as dg

from reconstruction_pipeline.orchestration.names import RETIRE_JOB, VIDEOS
from reconstruction_pipeline.orchestration.runs import PARTITION_TAG
from reconstruction_pipeline.web.delivered import Delivered, delivered
from reconstruction_pipeline.web.models import STAGE_LABELS, State, Video, VideoWithMetrics
from reconstruction_pipeline.web.run_progress import RunProgress, pipeline_config

SECONDS = 1.0
# Runs that changed in the second of the last look may not all have been seen by it.
OVERLAP = timedelta(seconds=5)
WILL_RETRY_TAG = "dagster/will_retry"
EVENTS_AT_ONCE = 500
GOES_ON = "The machine or the process stopped; the run goes on from where it was."
CANCELED = "Canceled; what its stages had stored is kept."

Status = dg.DagsterRunStatus
STATES: Mapping[dg.DagsterRunStatus, State] = {
    Status.QUEUED: State.queued,
    Status.NOT_STARTED: State.queued,
    Status.MANAGED: State.queued,
    Status.STARTING: State.running,
    Status.STARTED: State.running,
    Status.CANCELING: State.canceling,
    Status.SUCCESS: State.done,
    Status.FAILURE: State.failed,
    Status.CANCELED: State.canceled,
}

log = logging.getLogger(__name__)


class Board:
    """Look at it with `all` and `get`; `start` keeps it fresh, `refresh` brings it up to date now."""

    def __init__(self, instance: dg.DagsterInstance, storage: str, ui_url: str = "") -> None:
        self._instance, self._storage, self._ui_url = instance, storage, ui_url.rstrip("/")
        self._turn = threading.Lock()
        self._stop = threading.Event()
        self._since: datetime | None = None
        self._made: dict[str, dg.RunRecord] = {}
        self._retired: dict[str, dg.RunRecord] = {}
        self._progress: dict[str, RunProgress] = {}
        self._delivered: dict[str, tuple[tuple[str, bool], Delivered]] = {}
        self._videos: dict[str, Video] = {}
        self._json: dict[str, tuple[Video, str]] = {}
        self._seen: dict[str, tuple[dg.RunRecord | None, dg.RunRecord | None]] = {}
        self._listeners: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()
        self.revision = 0

    def all(self) -> list[Video]:
        """Every video, the newest run first."""
        return sorted(self._videos.values(), key=lambda video: (-(video.created_at or 0.0), video.key))

    def get(self, key: str) -> Video | None:
        """One video, or None."""
        return self._videos.get(key)

    def with_metrics(self, key: str) -> VideoWithMetrics | None:
        """One video with its numbers, or None."""
        video = self._videos.get(key)
        kept = self._delivered.get(key)
        return VideoWithMetrics(**dict(video), metrics=kept[1].metrics if kept else None) if video else None

    def as_json(self, key: str) -> str | None:
        """One video with its numbers as JSON, made once for every change of it; or None."""
        video = self._videos.get(key)
        made = self._json.get(key)
        if video is not None and (made is None or made[0] is not video):
            full = self.with_metrics(key)
            made = self._json[key] = (video, full.model_dump_json() if full else "")
        return made[1] if video is not None and made else None

    def start(self) -> None:
        """Look once a second from a thread of its own, until `stop`."""
        threading.Thread(target=self._look, name="board", daemon=True).start()

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()

    @contextmanager
    def changes(self) -> Iterator[asyncio.Event]:
        """An event that is set whenever anything changed; whoever waits clears it."""
        listener = (asyncio.get_running_loop(), asyncio.Event())
        self._listeners.add(listener)
        try:
            yield listener[1]
        finally:
            self._listeners.discard(listener)

    def _look(self) -> None:
        while not self._stop.wait(SECONDS):
            try:
                self.refresh()
            except Exception:  # a database that is busy or away: the next look will tell
                log.exception("the state of the runs cannot be read")

    def refresh(self) -> None:
        """Read what changed in the instance since the last look."""
        with self._turn:
            self._read_runs()
            keys = self._instance.get_dynamic_partitions(VIDEOS)
            videos = {key: self._settled(key) or self._video(key) for key in keys}
            current = {video.run_id for video in videos.values()}
            self._progress = {run_id: kept for run_id, kept in self._progress.items() if run_id in current}
            if videos == self._videos:
                return
            self._videos = videos
            self.revision += 1
        for loop, event in list(self._listeners):
            if not loop.is_closed():
                loop.call_soon_threadsafe(event.set)

    def _read_runs(self) -> None:
        since = self._since
        changed = dg.RunsFilter(updated_after=since - OVERLAP if since else None)
        for record in self._instance.get_run_records(changed):
            self._since = max(self._since or record.update_timestamp, record.update_timestamp)
            key = record.dagster_run.tags.get(PARTITION_TAG)
            if key is None:
                continue
            latest = self._retired if record.dagster_run.job_name == RETIRE_JOB else self._made
            before = latest.get(key)
            if before is None or record.storage_id >= before.storage_id:
                latest[key] = record

    def _settled(self, key: str) -> Video | None:
        """The video as it was, where nothing can have changed: most of them, most of the time."""
        records = (self._made.get(key), self._retired.get(key))
        if key in self._videos and self._seen.get(key) == records and all(_has_ended(record) for record in records):
            return self._videos[key]
        self._seen[key] = records
        return None

    def _video(self, key: str) -> Video:
        record, retired = self._made.get(key), self._retired.get(key)
        if record is None:
            return self._with_files(key, Video(key=key, state=State.new), ("", True))
        run = record.dagster_run
        progress = self._follow(run)
        state = STATES[run.status]
        error = None
        if state is State.failed:
            error = progress.failure
            if run.tags.get(WILL_RETRY_TAG) == "true":
                state, error = State.queued, None
        elif state is State.canceled:
            error = CANCELED
        if retired and not retired.dagster_run.is_finished:
            state = State.deleting
        stage = "" if state is State.done else progress.stage
        detail = GOES_ON if state is State.queued and run.is_finished else progress.detail
        video = Video(
            key=key,
            state=state,
            stage=stage,
            stage_label=STAGE_LABELS[stage],
            stage_progress=1.0 if state is State.done else round(progress.stage_progress, 3),
            progress=1.0 if state is State.done else round(min(progress.progress, 0.99), 3),
            detail=detail if state in (State.queued, State.running) else "",
            error=error,
            preset=str(pipeline_config(run).get("preset", "balanced")),
            run_id=run.run_id,
            run_url=f"{self._ui_url}/runs/{run.run_id}" if self._ui_url else None,
            created_at=record.create_timestamp.timestamp(),
            updated_at=record.update_timestamp.timestamp(),
        )
        return self._with_files(key, video, (run.run_id, run.is_finished))

    def _follow(self, run: dg.DagsterRun) -> RunProgress:
        """The progress of a run, brought up to date; that of a run that has ended is read once."""
        progress = self._progress.get(run.run_id)
        if progress is None:
            progress = self._progress[run.run_id] = RunProgress.of(run)
        if run.status is Status.SUCCESS or progress.ended:
            return progress
        while True:
            page = self._instance.get_records_for_run(run.run_id, progress.cursor, limit=EVENTS_AT_ONCE)
            for record in page.records:
                progress.feed(record.event_log_entry)
            progress.cursor = page.cursor
            if not page.has_more:
                break
        progress.ended = run.is_finished
        return progress

    def _with_files(self, key: str, video: Video, run: tuple[str, bool]) -> Video:
        """The video with what was delivered: read when its run has ended, and once before."""
        kept = self._delivered.get(key)
        if kept is None or kept[0] != run:
            kept = self._delivered[key] = (run, delivered(self._storage, key))
        found = kept[1]
        return video.model_copy(
            update={
                "grade": found.grade,
                "facts": found.facts,
                "warnings": found.warnings,
                "files": found.files,
                "viewer": found.url("viewer.html"),
                "report": found.url("report.html"),
                "thumbnail": found.url("thumbnail.jpg"),
            }
        )


def _has_ended(record: dg.RunRecord | None) -> bool:
    return record is None or record.dagster_run.is_finished
