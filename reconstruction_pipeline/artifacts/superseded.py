"""Which stored versions nobody needs any more.

A reader resolves `current.json` once and then reads that version for as long as its step takes. Steps have
wall-time limits, so a version that was replaced longer ago than any step may take has no reader left. The rule
needs no locks, and therefore holds on object stores and over many machines.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import pairwise

GRACE = timedelta(hours=24)
"""Longer than any step may take (`orchestration.limits` is held to it by a test)."""
_STAMP = "%Y%m%dT%H%M%S%f"


def version_name(at: datetime, token: str) -> str:
    """Sorts by time: "20261121T091302270456-a64c00"."""
    return f"{at.astimezone(UTC):{_STAMP}}-{token}"


def made_at(version: str) -> datetime:
    """When a version was made; raises `ValueError` for a name that is none."""
    return datetime.strptime(version.partition("-")[0], _STAMP).replace(tzinfo=UTC)


def superseded(versions: Iterable[str], current: str | None, keep: int, now: datetime, grace: timedelta) -> list[str]:
    """Versions that may be deleted, oldest first.

    Kept are the `current` one, the newest `keep`, and each that was still the newest within `grace` before `now`.
    Names that are no versions are left alone.
    """
    ordered = sorted(name for name in versions if _is_version(name))
    replaced_at = {old: made_at(new) for old, new in pairwise(ordered)}
    candidates = ordered[:-keep] if keep else ordered
    return [name for name in candidates if name != current and name in replaced_at and now - replaced_at[name] >= grace]


def _is_version(name: str) -> bool:
    try:
        made_at(name)
    except ValueError:
        return False
    return "-" in name
