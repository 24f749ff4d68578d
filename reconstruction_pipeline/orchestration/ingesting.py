"""From a file somewhere to a registered video: the one way in for command line, sensor and web."""

from __future__ import annotations

from pathlib import Path

from reconstruction_pipeline.artifacts import SourceVideo
from reconstruction_pipeline.artifacts.errors import InputRejected
from reconstruction_pipeline.orchestration.catalog import Catalog
from reconstruction_pipeline.orchestration.io_manager import open_store
from reconstruction_pipeline.settings import load_settings


def open_catalog() -> Catalog:
    """The catalog of the storage that the environment names."""
    return Catalog(load_settings().storage)


def capture_of(key: str) -> Path:
    """Where a registered capture can be read: its origin, or our stored copy when the origin is gone."""
    entry = open_catalog().require(key)
    if (origin := Path(entry.origin)).exists():
        return origin
    store = open_store()
    if store.current_version(SourceVideo.KIND, key):
        return store.load(SourceVideo, key).media
    raise InputRejected(f"{entry.origin}: the file of '{key}' is gone and no copy was stored; upload it again.")
