"""Forgetting a video: everything that the project holds of it, in an order that may be interrupted and repeated.

Dagster keeps the events of a deleted partition for ever (its storages cannot wipe them); a video that comes back
under the same name therefore shows its old history until its stages have run again.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from upath import UPath

from reconstruction_pipeline.artifacts.keys import require_safe_key
from reconstruction_pipeline.artifacts.store import ArtifactStore
from reconstruction_pipeline.orchestration.catalog import WEB, Catalog
from reconstruction_pipeline.orchestration.names import STAGES

_OF_UPLOAD = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Holding:
    """One thing that is held of a video: a folder or a file, its size in bytes, and how to delete it."""

    what: str
    bytes: int
    delete: Callable[[], None]


def holdings(store: ArtifactStore, catalog: Catalog, key: str) -> list[Holding]:
    """What there is of a video, in the order in which it should be deleted; empty when nothing is."""
    require_safe_key(key)
    found = [_remote(store.root / stage / key) for stage in STAGES]
    found.append(_remote(store.root / "deliverables" / key))
    found += [_local(path) for path in sorted(_scratch_of(store.scratch, key))]
    entry = catalog.get(key)
    if entry and entry.via == WEB and _OF_UPLOAD.fullmatch((folder := UPath(entry.origin).parent).name):
        found.append(_remote(folder))  # nobody else has it
    # The catalog comes last: as long as it knows the video, what is left of an interrupted retirement is found.
    found.append(_remote(catalog.folder / f"{key}.json"))
    return [item for item in found if item]


def _remote(path: UPath) -> Holding | None:
    if not path.exists():
        return None
    # `du` of fsspec adds up files below a folder, and takes a file as it is.
    return Holding(str(path), int(path.fs.du(path.path)), lambda: path.fs.rm(path.path, recursive=path.is_dir()))


def _local(path: Path) -> Holding:
    size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return Holding(str(path), size, lambda: shutil.rmtree(path, ignore_errors=True))


def _scratch_of(scratch: Path, key: str) -> Iterator[Path]:
    """Workspaces, checkpoints and local copies of a video (`ArtifactStore`, `Pipeline.checkpoint_folder`)."""
    for stage in STAGES:
        # Eight hexadecimal digits, then nothing: `walk` must not take what belongs to `walk-2`.
        yield from (scratch / "work").glob(f"{stage}-{key}-{'[0-9a-f]' * 8}")
        if (copies := scratch / "cache" / stage / key).is_dir():
            yield copies
    yield from (folder for part in ("checkpoints", "incoming") if (folder := scratch / part / key).is_dir())
