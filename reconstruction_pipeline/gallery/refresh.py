"""Rebuilding `index.html` from the deliverables' own folders, on local disks and object stores.

Nothing is remembered between runs: a page is what the folders say. Two runs that end at once cannot lose an entry
without a lock: whoever writes reads the folders once more afterwards and writes again when they have changed, so the
last page written always shows the folders as they were after it.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

from upath import UPath

from reconstruction_pipeline.artifacts.errors import StageFailed, UsageError
from reconstruction_pipeline.artifacts.keys import require_safe_key
from reconstruction_pipeline.gallery.entry import Entry, entry_of, lists_files
from reconstruction_pipeline.gallery.page import render_gallery

MOST_ROUNDS = 20


def refresh_gallery(deliverables: UPath) -> UPath:
    """Write `index.html` into the folder that holds a folder per scene; returns its path.

    Folders without a `metrics.json` are no scenes (one may just be arriving: its own run refreshes once more).
    Raises `StageFailed` when the folders never stop changing, `OSError` when they cannot be read or written.
    """
    page = deliverables / "index.html"
    texts = _read(deliverables)
    for _ in range(MOST_ROUNDS):
        _write(page, render_gallery(list(_entries(deliverables, texts))))
        again = _read(deliverables)
        if again == texts:
            return page
        texts = again
    raise StageFailed(
        f"{page}: the scenes change faster than their page is written; run any scene again to refresh it."
    )


def _read(deliverables: UPath) -> dict[str, str]:
    """Scene -> text of its `metrics.json`, in name order."""
    paths = {}
    # A listing that a cache remembers would hide what other machines have delivered.
    deliverables.fs.invalidate_cache()
    for child in sorted(deliverables.iterdir(), key=str):
        try:
            paths[require_safe_key(child.name)] = (child / "metrics.json").path
        except UsageError:
            continue  # index.html, and what is being swapped in
    # All at once: on an object store one request after the other would take minutes for hundreds of scenes.
    found = deliverables.fs.cat(list(paths.values()), on_error="return") if paths else {}
    texts = {}
    for path, data in found.items():
        if isinstance(data, FileNotFoundError | NotADirectoryError):
            continue  # no scene, or one that is just arriving
        if isinstance(data, Exception):
            raise data
        texts[str(path).rpartition("/metrics.json")[0].rpartition("/")[2]] = data.decode("utf-8", "replace")
    return {key: texts[key] for key in paths if key in texts}


def _entries(deliverables: UPath, texts: dict[str, str]) -> Iterator[Entry]:
    for key, text in texts.items():
        present: frozenset[str] = frozenset()
        if not lists_files(text):
            try:
                present = frozenset(child.name for child in (deliverables / key).iterdir() if child.is_file())
            except (FileNotFoundError, NotADirectoryError):
                continue  # being replaced just now
        yield entry_of(key, text, present)


def _write(page: UPath, text: str) -> None:
    """Replace the page in one step: readers see the old one or the new one."""
    if page.protocol not in ("", "file", "local"):
        page.write_text(text, encoding="utf-8")  # an object appears whole or not at all
        return
    partial = Path(page.path).with_name(f".index.{uuid.uuid4().hex[:8]}.html")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(page.path)
    finally:
        partial.unlink(missing_ok=True)
