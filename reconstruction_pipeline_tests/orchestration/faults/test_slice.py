"""A few tries of faults that need no deployment, for every change."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from reconstruction_pipeline_tests.orchestration.faults import storing
from reconstruction_pipeline_tests.orchestration.faults.suite import FAULTS
from reconstruction_pipeline_tests.orchestration.faults.table import Row, markdown


def test_a_writer_killed_at_any_moment_leaves_whole_versions(tmp_path: Path) -> None:
    reads, stored = storing.killed_writers(
        str(tmp_path / "storage"), tmp_path / "scratch", random.Random(3), 3, tmp_path / "reader"
    )
    assert reads >= 3 and stored >= 3


@pytest.mark.parametrize("damage", ["one bit of a picture", "a damaged pointer", "a damaged manifest"])
def test_nobody_builds_on_a_damaged_artifact(tmp_path: Path, damage: str) -> None:
    assert storing.damage_artifacts(tmp_path, names=(damage,)).tried == 1


@pytest.mark.skipif(bool(storing.why_no_small_disk()), reason=storing.why_no_small_disk() or "-")
def test_a_full_disk_takes_nothing_away(tmp_path: Path) -> None:
    assert storing.fill_disk(tmp_path, seed=1, times=1).tried == 1


def test_the_table_names_every_column() -> None:
    text = markdown([(Row("a fault", 3, "nothing", "well"), 1.2)])
    assert text.splitlines()[-1] == "| a fault | 3 | nothing | well | 1 |"
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)
