"""One scene of the gallery, read from its `metrics.json`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from reconstruction_pipeline.report.downloads import LABELS, NOT_DOWNLOADS
from reconstruction_pipeline.report.grade import MEANING
from reconstruction_pipeline.report.plain import number_of
from reconstruction_pipeline.report.words import number, size

UNKNOWN = "–"
# A file beside metrics.json: no folder, no scheme, nothing that leaves the scene's own folder.
PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Download:
    """A file of a scene: its `name`, what it is, and its size as text (empty when not known)."""

    name: str
    label: str
    size: str


@dataclass(frozen=True)
class Entry:
    """A card of the gallery; texts are for people, the numbers (None: not known) are for sorting.

    `grade` is "A" … "F", or "–" where the numbers could not be read; `sentence` says what stopped the scene or what
    to know first; `made` is seconds since the epoch; `bytes` is the size of the smallest delivered splat file.
    """

    key: str
    grade: str
    meaning: str
    sentence: str
    facts: tuple[str, ...]
    psnr_db: float | None
    bytes: float | None
    made: float | None
    made_text: str
    downloads: tuple[Download, ...]
    has_viewer: bool
    has_report: bool
    has_thumbnail: bool

    @property
    def target(self) -> str:
        """What a click on the picture opens, relative to the gallery; empty when there is nothing."""
        name = "viewer.html" if self.has_viewer else "report.html" if self.has_report else ""
        return name and f"{self.key}/{name}"


def entry_of(key: str, text: str, present: frozenset[str] = frozenset()) -> Entry:
    """The entry of a scene from the text of its `metrics.json`, never an exception.

    `present` are the files beside it, for scenes whose `metrics.json` does not list them (before version 0.2).
    """
    try:
        metrics = json.loads(text)
        if not isinstance(metrics, dict):
            raise ValueError("not an object")
    except ValueError:
        sentence = f"The numbers of this scene cannot be read; run it again, or remove the folder '{key}'."
        metrics = {"grade": UNKNOWN, "failed": {"sentence": sentence}}
    files = _files(metrics, present)
    grade = metrics.get("grade")
    grade = grade if grade in MEANING else UNKNOWN
    splats, packed = _object(metrics, "gaussian_splats"), _object(metrics, "compressed_splats")
    psnr = number_of(splats.get("psnr_holdout_db"))
    weight = number_of(packed.get("sog_bytes"))
    count = number_of(splats.get("count"))
    facts = [
        f"{psnr:.1f} dB" if psnr is not None else "",
        f"{number(count)} splats" if count is not None else "",
        size(weight) if weight is not None else "",
    ]
    made, made_text = _when(metrics.get("made_at"))
    return Entry(
        key=key,
        grade=grade,
        meaning=MEANING.get(grade, "Not known"),
        sentence=_sentence(metrics, grade),
        facts=tuple(fact for fact in facts if fact) if grade != "F" else (),
        psnr_db=psnr if grade != "F" else None,
        bytes=weight,
        made=made,
        made_text=made_text,
        downloads=_downloads(files),
        has_viewer="viewer.html" in files,
        has_report="report.html" in files,
        has_thumbnail="thumbnail.jpg" in files,
    )


def lists_files(text: str) -> bool:
    """Whether a `metrics.json` says which files lie beside it."""
    try:
        return isinstance(json.loads(text).get("files"), dict)
    except (ValueError, AttributeError):
        return False


def _object(metrics: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = metrics.get(name)
    return found if isinstance(found, dict) else {}


def _files(metrics: Mapping[str, Any], present: frozenset[str]) -> dict[str, float | None]:
    listed = metrics.get("files")
    named: Mapping[str, Any] = listed if isinstance(listed, dict) else dict.fromkeys(present)
    return {name: number_of(count) for name, count in named.items() if PLAIN_NAME.fullmatch(name)}


def _downloads(files: Mapping[str, float | None]) -> tuple[Download, ...]:
    known = [name for name in LABELS if name in files and name not in NOT_DOWNLOADS]
    others = sorted(set(files) - set(known) - NOT_DOWNLOADS)
    return tuple(
        Download(name, LABELS.get(name, name), "" if (weight := files[name]) is None else size(weight))
        for name in [*known, *others]
    )


def _sentence(metrics: Mapping[str, Any], grade: str) -> str:
    """What stopped a failed scene; for the others the first warning, if there is one."""
    failed = _object(metrics, "failed")
    if grade in ("F", UNKNOWN):
        return str(failed.get("sentence") or "No cause was recorded.")
    warnings = metrics.get("warnings")
    if not isinstance(warnings, list) or not warnings:
        return ""
    first = str(warnings[0]).partition(": ")[2] or str(warnings[0])
    return first + (f" (and {len(warnings) - 1} more)" if len(warnings) > 1 else "")


def _when(text: Any) -> tuple[float | None, str]:
    """Seconds since the epoch and the day and minute in UTC of an ISO 8601 time; (None, "") for anything else."""
    try:
        time = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None, ""
    time = time.replace(tzinfo=time.tzinfo or UTC).astimezone(UTC)
    return time.timestamp(), f"{time:%Y-%m-%d %H:%M} UTC"
