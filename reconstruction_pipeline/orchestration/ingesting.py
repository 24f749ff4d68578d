"""From a file somewhere to a registered video: the one way in for command line, sensor and web."""

from __future__ import annotations

import shutil
from pathlib import Path, PurePosixPath

from upath import UPath

from reconstruction_pipeline.artifacts import SourceVideo
from reconstruction_pipeline.artifacts.errors import InputRejected
from reconstruction_pipeline.artifacts.source_video import GPS_LOGS
from reconstruction_pipeline.orchestration.catalog import Catalog, Entry
from reconstruction_pipeline.orchestration.io_manager import open_store
from reconstruction_pipeline.settings import load_settings


def open_catalog() -> Catalog:
    """The catalog of the storage that the environment names."""
    return Catalog(load_settings().storage)


def capture_of(key: str) -> Path:
    """Where a registered capture can be read: its origin, or our stored copy when the origin is gone.

    An origin elsewhere is fetched; `drop_fetched` deletes that copy. Raises `InputRejected` when there is neither,
    and `OSError` when the origin cannot be reached.
    """
    entry = open_catalog().require(key)
    if "://" in entry.origin:
        if UPath(entry.origin).exists():
            return _fetch(entry)
    elif (origin := Path(entry.origin)).exists():
        return origin
    store = open_store()
    if store.current_version(SourceVideo.KIND, key):
        return store.load(SourceVideo, key).media
    raise InputRejected(f"{entry.origin}: the file of '{key}' is gone and no copy was stored; upload it again.")


def drop_fetched(key: str) -> None:
    """Delete what `capture_of` fetched for a video."""
    shutil.rmtree(_incoming(key), ignore_errors=True)


def _fetch(entry: Entry) -> Path:
    """A local copy of a remote capture and of the GPS log beside it, under their own names."""
    source, folder = UPath(entry.origin), _incoming(entry.key)
    source.fs.invalidate_cache()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    name = PurePosixPath(source.path).name
    source.fs.get_file(source.path, str(folder / name))
    for suffix in GPS_LOGS:
        log = source.with_suffix(suffix)
        if log.path != source.path and log.exists():
            log.fs.get_file(log.path, str(folder / PurePosixPath(log.path).name))
    return folder / name


def _incoming(key: str) -> Path:
    return load_settings().scratch / "incoming" / key
