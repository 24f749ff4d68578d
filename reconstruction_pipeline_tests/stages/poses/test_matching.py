"""Which pairs are compared, that all of them were, and guided matching: more matches for pairs that have few."""

from __future__ import annotations

import os
import sqlite3
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reconstruction_pipeline.artifacts.progress import NullProgress
from reconstruction_pipeline.stages.poses import PoseSettings
from reconstruction_pipeline.stages.poses.cameras import camera_groups, focal_range
from reconstruction_pipeline.stages.poses.child import ColmapChild
from reconstruction_pipeline.stages.poses.matches import PAIR_BASE, read_matches
from reconstruction_pipeline.stages.poses.matching import choose_pairs, require_compared
from reconstruction_pipeline.stages.poses.rungs import EXHAUSTIVE_LIMIT, ladder
from reconstruction_pipeline_tests.stages.captures import RoomCorner
from reconstruction_pipeline_tests.stages.poses.test_estimate_poses import ANGLES, write_keyframes


def test_guided_matching_adds_to_pairs_that_have_few(tmp_path: Path) -> None:
    corner, settings = RoomCorner(), PoseSettings(threads=2, features=150)
    keyframes = write_keyframes(tmp_path / "keyframes", [corner.render(*corner.camera(a)) for a in ANGLES[:8:2]])
    groups = camera_groups(keyframes, settings)
    child = ColmapChild(tmp_path / "work", tmp_path / "colmap.log", NullProgress(), time.monotonic() + 200)
    found: dict[bool, tuple[dict[str, Any], int]] = {}
    for guided in (False, True):
        work = tmp_path / f"guided-{guided}"
        work.mkdir()
        job = {
            "task": "map",
            "work": str(work),
            "images": os.fspath(keyframes.path("images").resolve()),
            "masks": None,
            "groups": groups,
            "ordered": True,
            "camera_model": "SIMPLE_RADIAL",
            "threads": 2,
            "seed": 0,
            "time_limit_s": 100,
            "focal_range": focal_range(groups),
            "reuse": found[False][0]["database"] if guided else None,
            "rung": asdict(replace(ladder(settings, True)[0], guided=guided)),
        }
        result = child.run(job)
        graph = read_matches(Path(result["database"]), [f"{k:05d}.jpg" for k in range(4)])
        found[guided] = result, sum(len(pair.rows_first) for pair in graph.verified)
    (plain, before), (result, after) = found[False], found[True]
    assert plain["guided_pairs"] == 0 and result["guided_pairs"] > 0
    assert result["verified_pairs"] >= plain["verified_pairs"] > 0
    assert after > before > 0


def test_large_photo_sets_are_never_compared_exhaustively() -> None:
    rng = np.random.default_rng(0)
    rungs = ladder(PoseSettings(), ordered=False)
    for count, all_of_them in ((30, True), (EXHAUSTIVE_LIMIT + 1, False)):
        descriptors = [rng.integers(0, 255, (4, 128), np.uint8) for _ in range(count)]
        for rung in rungs:
            pairs = choose_pairs({"rung": asdict(rung), "ordered": False, "seed": 0}, descriptors)
            assert (len(pairs) == count * (count - 1) // 2) == all_of_them, rung.name


def test_pairs_that_colmap_passed_over_are_an_error(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "database.db") as connection:
        connection.execute("CREATE TABLE images (image_id INTEGER, name TEXT)")
        connection.execute("CREATE TABLE two_view_geometries (pair_id INTEGER)")
        connection.executemany("INSERT INTO images VALUES (?, ?)", [(1, "a"), (2, "b"), (3, "c")])
        connection.execute("INSERT INTO two_view_geometries VALUES (?)", (PAIR_BASE + 2,))
    require_compared(tmp_path / "database.db", [("b", "a")], "two_view_geometries")
    with pytest.raises(RuntimeError, match=r"1 of 2 image pairs were not compared, such as \('a', 'c'\)"):
        require_compared(tmp_path / "database.db", [("a", "b"), ("a", "c")], "two_view_geometries")
