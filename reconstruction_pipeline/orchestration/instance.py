"""Dagster's instance of this project's storage."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from reconstruction_pipeline.settings import load_settings, use_dagster_home

LOCK = ".instance.lock"


@contextmanager
def open_instance() -> Iterator[dg.DagsterInstance]:
    """The instance in the settings' `dagster_home`, which is made where there is none.

    Whoever opens a new one creates the tables of its SQLite files; Dagster lets two processes try that at once, and
    one of them fails. So they take turns.
    """
    settings = load_settings()
    use_dagster_home(settings)
    with (settings.dagster_home / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        instance = dg.DagsterInstance.get()
    with instance:
        yield instance
