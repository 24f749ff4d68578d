"""One letter for a scene, by a rule that fits on a line each."""

from __future__ import annotations

from collections.abc import Iterable

A_PSNR_DB, B_PSNR_DB, C_PSNR_DB = 27.0, 24.0, 21.0
B_MAX_WARNINGS = 2

MEANING = {
    "A": "Excellent: true on views it never saw, no warning, nothing fell back",
    "B": "Good: ready to show; see what keeps it from an A",
    "C": "Usable: the scene is there, with visible flaws",
    "D": "Weak: look before you rely on it",
    "F": "Failed: there is no scene to trust",
}


def grade_of(
    *, blocked: bool, psnr_holdout_db: float | None, warnings: int, fallback_levels: Iterable[int | None]
) -> str:
    """The grade "A" … "F".

    F: a blocking gate failed. Otherwise by the held-out PSNR in dB at training size: A >= 27 with no warning and every
    fallback level 0, B >= 24 with at most two warnings, C >= 21, D below. A PSNR or a level that is not known
    (None, NaN) earns nothing.
    """
    if blocked:
        return "F"
    psnr = float("-inf") if psnr_holdout_db is None else psnr_holdout_db
    if psnr >= A_PSNR_DB and warnings == 0 and all(level == 0 for level in fallback_levels):
        return "A"
    if psnr >= B_PSNR_DB and warnings <= B_MAX_WARNINGS:
        return "B"
    return "C" if psnr >= C_PSNR_DB else "D"
