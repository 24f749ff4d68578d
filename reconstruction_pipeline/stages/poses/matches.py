"""The verified matches of image pairs, read from COLMAP's database with SQLite alone.

Format: https://colmap.github.io/database.html; pair_id = 2147483647 * first + second, first < second.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.artifacts.errors import StageFailed

PAIR_BASE = 2147483647
Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class PairMatches:
    """Matches of two images that fit one two-view geometry: row k of both is the same thing.

    `rows_*` (M,) are keypoint numbers, `xy_*` (M, 2) pixels of the distorted images.
    """

    first: str
    second: str
    rows_first: npt.NDArray[np.int64]
    rows_second: npt.NDArray[np.int64]
    xy_first: Array
    xy_second: Array


@dataclass(frozen=True)
class MatchGraph:
    """All pairs that were tried (names in order), and the verified matches of those that had any."""

    tried: frozenset[tuple[str, str]]
    verified: tuple[PairMatches, ...]


def read_matches(database: Path, names: Collection[str]) -> MatchGraph:
    """Matches among these images; raises `StageFailed` when the database cannot be read."""
    try:
        with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
            return _read(connection, set(names))
    except (sqlite3.Error, ValueError) as error:
        raise StageFailed(
            f"camera_poses: COLMAP's database {database.name} cannot be read ({error}); run the stage again."
        ) from error


def _read(connection: sqlite3.Connection, names: set[str]) -> MatchGraph:
    name_of = {key: name for key, name in connection.execute("SELECT image_id, name FROM images") if name in names}
    xy = {}
    for key, rows, cols, data in connection.execute("SELECT image_id, rows, cols, data FROM keypoints"):
        if key in name_of:
            xy[key] = np.frombuffer(data or b"", np.float32).reshape(rows, cols)[:, :2].astype(np.float64)
    tried, verified = set(), []
    query = "SELECT pair_id, rows, data FROM two_view_geometries ORDER BY pair_id"
    for pair_id, rows, data in connection.execute(query):
        a, b = divmod(pair_id, PAIR_BASE)
        if a not in name_of or b not in name_of:
            continue
        tried.add((min(name_of[a], name_of[b]), max(name_of[a], name_of[b])))
        if rows:
            index = np.frombuffer(data, np.uint32).reshape(rows, 2).astype(np.int64)
            verified.append(
                PairMatches(name_of[a], name_of[b], index[:, 0], index[:, 1], xy[a][index[:, 0]], xy[b][index[:, 1]])
            )
    return MatchGraph(frozenset(tried), tuple(verified))
