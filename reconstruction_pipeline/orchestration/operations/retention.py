"""What may be deleted to make room, and why it may be. Knows no Dagster.

Two rules. A version of an artifact goes when it is neither current nor among the last few, and was replaced longer
ago than a step may take (`artifacts.superseded`). Work in progress goes when nothing below it was touched for as
long. Nothing goes that belongs to a video on which a run is at work.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from reconstruction_pipeline.artifacts.store import ArtifactStore
from reconstruction_pipeline.artifacts.superseded import superseded
from reconstruction_pipeline.orchestration.names import STAGES


@dataclass(frozen=True)
class Deletion:
    """One folder that may go: its kind ("version" | "scratch"), where it is, its size in bytes, and the reason."""

    kind: str
    path: str
    bytes: int
    reason: str
    delete: Callable[[], None]


def deletions(
    store: ArtifactStore, now: datetime, keep: int, grace: timedelta, unused: timedelta, busy: Collection[str]
) -> Iterator[Deletion]:
    """Everything that may be deleted at `now` (in UTC), in a stable order; `busy` are videos with unfinished runs."""
    yield from _versions(store, now, keep, grace, busy)
    yield from _scratch(store.scratch, now, unused, busy)


def _versions(
    store: ArtifactStore, now: datetime, keep: int, grace: timedelta, busy: Collection[str]
) -> Iterator[Deletion]:
    for stage in STAGES:
        folder = store.root / stage
        homes = sorted(folder.iterdir(), key=str) if folder.exists() else []
        for home in homes:
            if home.name in busy or not home.is_dir():
                continue
            current = store.current_version(stage, home.name)
            for version in superseded(store.versions(home), current, keep, now, grace):
                path = home / version
                yield Deletion(
                    kind="version",
                    path=str(path),
                    bytes=int(path.fs.du(path.path)),
                    reason=f"replaced more than {_hours(grace)} ago, and not among the last {keep}",
                    delete=lambda path=path: path.fs.rm(path.path, recursive=True),  # type: ignore[misc]
                )


def _scratch(scratch: Path, now: datetime, unused: timedelta, busy: Collection[str]) -> Iterator[Deletion]:
    """Workspaces of killed stages, checkpoints, local copies of stored versions and of remote uploads."""
    found = [
        *((path, _key_of_workspace(path.name)) for path in (scratch / "work").glob("*")),
        *((path, path.parent.name) for path in (scratch / "checkpoints").glob("*/*")),
        *((path, path.name) for path in (scratch / "logs").glob("*")),
        *((path, path.parent.name) for path in (scratch / "cache").glob("*/*/*")),
        *((path, path.name) for path in (scratch / "incoming").glob("*")),
    ]
    for path, key in sorted(found):
        touched, size = _touched_and_size(path)
        if key not in busy and now.timestamp() - touched >= unused.total_seconds():
            yield Deletion(
                kind="scratch",
                path=str(path),
                bytes=size,
                reason=f"not used for {_hours(unused)}",
                delete=lambda path=path: shutil.rmtree(path, ignore_errors=True),  # type: ignore[misc]
            )


def _key_of_workspace(name: str) -> str:
    """`walk-2` of `mesh-walk-2-0f3a9c1d`."""
    return name.partition("-")[2].rpartition("-")[0]


def _touched_and_size(path: Path) -> tuple[float, int]:
    """When anything below was last written (POSIX seconds), and how large all of it is."""
    touched, size = path.stat().st_mtime, 0
    for item in path.rglob("*"):
        try:
            stat = item.stat()
        except OSError:  # deleted meanwhile: somebody is at work here
            return float("inf"), 0
        touched, size = max(touched, stat.st_mtime), size + (stat.st_size if item.is_file() else 0)
    return touched, size


def _hours(span: timedelta) -> str:
    return f"{span.total_seconds() / 3600:g} h"
