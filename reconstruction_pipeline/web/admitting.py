"""From finished uploads to a scene's run: what the upload sensor does for a folder, for one request.

The same probe, limits, disk and identity (`orchestration.admission`), so that content that comes both ways is one
video.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import dagster as dg
from upath import UPath

from reconstruction_pipeline.artifacts.containers import PHOTO_SUFFIXES
from reconstruction_pipeline.artifacts.keys import video_key
from reconstruction_pipeline.orchestration.admission import Admission
from reconstruction_pipeline.orchestration.catalog import WEB, Catalog, Entry
from reconstruction_pipeline.orchestration.ingesting import open_catalog
from reconstruction_pipeline.orchestration.names import VIDEOS
from reconstruction_pipeline.orchestration.uploads import Upload
from reconstruction_pipeline.settings import Settings
from reconstruction_pipeline.web.board import Board
from reconstruction_pipeline.web.errors import Refused
from reconstruction_pipeline.web.incoming import FOLDER, Arrival, Incoming
from reconstruction_pipeline.web.launching import Launcher

ANSWER_COUNTS_SECONDS = 30.0
BESIDE_PHOTOS = {".csv", ".json", ".gpx"}


@dataclass(frozen=True)
class Admitted:
    """The scene's key, its run, and whether that was begun now: not where the content was there already."""

    key: str
    run_id: str
    begun: bool


class Desk:
    """Admits one capture at a time: two uploads of the same content become one video."""

    def __init__(
        self, instance: dg.DagsterInstance, settings: Settings, incoming: Incoming, board: Board, launcher: Launcher
    ) -> None:
        self._instance, self._settings, self._incoming = instance, settings, incoming
        self._board, self._launcher = board, launcher
        self._turn = threading.Lock()
        self._answered = float("-inf")

    def admit(self, uploads: Sequence[str], preset: str, title: str = "") -> Admitted:
        """Probe, register and queue a run; raises `Refused`, or the probe's own refusal.

        The uploads are used up, whatever comes of it, except where they are unfinished or Dagster does not answer.
        """
        arrivals = [self._finished(id) for id in dict.fromkeys(uploads)]
        _require_one_capture(arrivals)
        self.require_dagster()
        with self._turn:
            return self._registered(self._gathered(arrivals, title), preset, title)

    def require_dagster(self) -> None:
        """Raise `Refused` (503) while there is nobody to take a run; a recent answer counts, as asking takes time."""
        if time.monotonic() - self._answered < ANSWER_COUNTS_SECONDS:
            return
        if self._launcher.is_ready():
            self._answered = time.monotonic()
        else:
            raise Refused(503, "Dagster does not answer now; send this again in a minute.", Retry_After="10")

    def _finished(self, id: str) -> Arrival:
        arrival, offset = self._incoming.get(id), self._incoming.offset(id)
        if offset != arrival.length:
            raise Refused(409, f"{arrival.name}: {offset} of {arrival.length} bytes have arrived; send the rest first.")
        return arrival

    def _gathered(self, arrivals: list[Arrival], title: str) -> Path:
        """The capture as one file: what came, or a zip of the photos that came."""
        if len(arrivals) == 1:
            return self._incoming.take(arrivals[0].id)
        return self._incoming.take_together(arrivals, f"{video_key(title or 'photos')}.zip")

    def _registered(self, capture: Path, preset: str, title: str) -> Admitted:
        admission = Admission(self._instance, open_catalog(), self._settings)
        stat = capture.stat()
        upload = Upload(str(capture.parent), capture.name, stat.st_size, str(stat.st_mtime_ns))
        try:
            admission.check_size(upload)
            sha256 = admission.content_sha256(upload, whatever_size=True)
            known = admission.catalog.holding(sha256)
        except BaseException:
            shutil.rmtree(capture.parent, ignore_errors=True)
            raise
        if known and _is_there(known):
            shutil.rmtree(capture.parent, ignore_errors=True)
            self._board.refresh()
            video = self._board.get(known.key)
            if video and (video.is_active or (video.is_done and video.preset == preset)):
                return Admitted(known.key, video.run_id, begun=False)
            key = known.key
        else:
            key = known.key if known else _free_key(admission.catalog, video_key(title or capture.name), sha256)
            origin = self._put_away(capture)
            admission.catalog.register(Entry(key, origin, sha256, WEB, fingerprint=upload.fingerprint))
        self._instance.add_dynamic_partitions(VIDEOS, [key])
        return Admitted(key, self._launcher.reconstruct(key, preset), begun=True)

    def _put_away(self, capture: Path) -> str:
        """Where the capture stays: its folder, or a copy in the object store that uploads go to."""
        if self._settings.uploads_are_local:
            return str(capture)
        target = UPath(self._settings.uploads) / FOLDER / capture.parent.name / capture.name
        target.fs.put_file(str(capture), target.path)
        shutil.rmtree(capture.parent, ignore_errors=True)
        return str(target)


def _free_key(catalog: Catalog, wanted: str, sha256: str) -> str:
    """`wanted`, or with a `-<hash8>` suffix where another capture has that name."""
    return wanted if catalog.get(wanted) is None else f"{wanted}-{sha256[:8]}"


def _is_there(entry: Entry) -> bool:
    return UPath(entry.origin).exists()


def _require_one_capture(arrivals: list[Arrival]) -> None:
    if not arrivals:
        raise Refused(422, "No file came; give one video, several photos, or a zip of photos.")
    others = [a.name for a in arrivals if PurePosixPath(a.name).suffix.lower() not in PHOTO_SUFFIXES | BESIDE_PHOTOS]
    if len(arrivals) > 1 and others:
        raise Refused(
            422, f"{others[0]}: comes with {len(arrivals) - 1} other files; give one video, several photos, or one zip."
        )
