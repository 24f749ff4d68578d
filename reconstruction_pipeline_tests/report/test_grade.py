from __future__ import annotations

import math

import pytest

from reconstruction_pipeline.report import grade_of

ALL_FIRST = [0, 0, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("psnr", "warnings", "levels", "expected"),
    [
        (27.0, 0, ALL_FIRST, "A"),
        (31.2, 0, ALL_FIRST, "A"),
        (26.99, 0, ALL_FIRST, "B"),
        (31.2, 1, ALL_FIRST, "B"),
        (31.2, 0, [0, 0, 1], "B"),
        (31.2, 0, [0, None, 0], "B"),
        (24.0, 2, [2, 0, 0], "B"),
        (31.2, 3, ALL_FIRST, "C"),
        (23.99, 0, ALL_FIRST, "C"),
        (21.0, 9, [3], "C"),
        (20.99, 0, ALL_FIRST, "D"),
        (None, 0, ALL_FIRST, "D"),
        (math.nan, 0, ALL_FIRST, "D"),
    ],
)
def test_rule(psnr: float | None, warnings: int, levels: list[int | None], expected: str) -> None:
    assert grade_of(blocked=False, psnr_holdout_db=psnr, warnings=warnings, fallback_levels=levels) == expected


def test_a_blocking_gate_outweighs_everything() -> None:
    assert grade_of(blocked=True, psnr_holdout_db=40.0, warnings=0, fallback_levels=ALL_FIRST) == "F"
