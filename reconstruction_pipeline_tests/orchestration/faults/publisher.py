"""A process that stores one version after another until it is killed: `python -m … ROOT SCRATCH`.

Every file of a version holds the version's number, so that a mixture of two shows.
"""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path

from reconstruction_pipeline.artifacts import Keyframes
from reconstruction_pipeline.artifacts.store import ArtifactStore

KEY = "walk"
FILES = 12
REPEATS = 6000  # some 50 kB a file
KEPT = 40


def open_store(root: str, scratch: Path) -> ArtifactStore:
    """The store, which forgets old versions here at once and not after a day."""
    return ArtifactStore(root, scratch, keep=KEPT, grace=timedelta(0))


def publish(store: ArtifactStore, number: int) -> Keyframes:
    """Store one version."""
    folder = store.workspace("keyframes", KEY)
    (folder / "images").mkdir()
    for file in range(FILES):
        (folder / "images" / f"{file}.jpg").write_text(f"{number:08d}\n" * REPEATS)
    (folder / "keyframes.csv").write_text(f"{number:08d}\n")
    (folder / "camera.json").write_text(f"{number:08d}\n")
    return store.publish(KEY, Keyframes(folder, {"number": number}))


def may_be_forgotten(store: ArtifactStore, version: str) -> bool:
    """Whether so many newer versions are stored that the store no longer has to keep this one."""
    names = store.versions(store.root / "keyframes" / KEY)
    return sum(name > version for name in names) >= KEPT


def number_in(stored: Keyframes) -> int:
    """The number of a stored version; fails on a mixture and on anything missing or half."""
    found = {line for path in stored.folder.rglob("*") if path.suffix in (".jpg", ".csv") for line in lines(path)}
    (number,) = found
    assert int(number) == stored.metrics["number"]
    assert sorted(path.name for path in stored.path("images").iterdir()) == sorted(f"{i}.jpg" for i in range(FILES))
    return int(number)


def lines(path: Path) -> set[str]:
    """Different lines of a file."""
    return set(path.read_text().splitlines())


def main() -> None:
    """Store for ever."""
    store = open_store(sys.argv[1], Path(sys.argv[2]))
    number = int(store.load(Keyframes, KEY).metrics["number"]) if store.current_version("keyframes", KEY) else 0
    while True:
        number += 1
        publish(store, number)


if __name__ == "__main__":
    main()
