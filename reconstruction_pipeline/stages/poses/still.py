"""Features that stand still in the picture, left out of the database; part of the child process.

An object turns on a turntable before a camera that does not move: its background, its shadow and the reflections on it
keep their places, match better than anything that turns, and would make a model in which nothing has moved.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.stages.poses.matches import PAIR_BASE
from reconstruction_pipeline.stages.poses.matching import match_pairs

# Images so many places apart are compared: an object that turns has moved, or shows another side.
STEPS = (3, 5, 10, 20)
# Pixels at a longest side of 1000 within which a feature has not moved.
STILL_PX = 1.5


def drop_still_features(job: dict[str, Any], database: Path) -> dict[str, int]:
    """Take the features that stand still out of `database`, which has no matches yet; how many of how many.

    A feature stands still when it is found again in the same place of images several steps of the turntable away, more
    often than in another place. Those on the axis itself go as well.
    """
    names = sorted(name for group in job["groups"] for name in group["names"])
    longest = max(group["longest_side"] for group in job["groups"])
    pairs = [(names[i], names[i + step]) for step in STEPS for i in range(len(names) - step)]
    if pairs:
        match_pairs(job, database, pairs, verify=False)
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        xy = {
            image: np.frombuffer(data or b"", np.float32).reshape(rows, cols)[:, :2]
            for image, rows, cols, data in connection.execute("SELECT image_id, rows, cols, data FROM keypoints")
        }
        matches = {
            divmod(pair, PAIR_BASE): np.frombuffer(data, np.uint32).reshape(rows, 2)
            for pair, rows, data in connection.execute("SELECT pair_id, rows, data FROM matches WHERE rows > 0")
        }
        connection.execute("DELETE FROM matches")
        connection.execute("DELETE FROM two_view_geometries")
        still = still_features(xy, matches, STILL_PX * max(longest / 1000.0, 0.5))
        for image, out in still.items():
            for table in ("keypoints", "descriptors"):
                _keep(connection, table, image, ~out)
    return {"features": sum(map(len, xy.values())), "still": int(sum(out.sum() for out in still.values()))}


def still_features(
    xy: Mapping[int, npt.NDArray[np.float32]],
    matches: Mapping[tuple[int, int], npt.NDArray[np.uint32]],
    limit_px: float,
) -> dict[int, npt.NDArray[np.bool_]]:
    """(N,) for the keypoints `xy` (N, 2) of each image: whether they stand still by `matches` (M, 2) between images."""
    votes = {image: np.zeros(len(points), np.int64) for image, points in xy.items()}
    for (first, second), rows in matches.items():
        apart = np.linalg.norm(xy[first][rows[:, 0]] - xy[second][rows[:, 1]], axis=1)
        vote = np.where(apart < limit_px, 1, -1)
        np.add.at(votes[first], rows[:, 0], vote)
        np.add.at(votes[second], rows[:, 1], vote)
    return {image: count > 0 for image, count in votes.items()}


def _keep(connection: sqlite3.Connection, table: str, image: int, kept: npt.NDArray[np.bool_]) -> None:
    (rows, data) = connection.execute(f"SELECT rows, data FROM {table} WHERE image_id = ?", (image,)).fetchone()
    if not rows:
        return
    values = np.frombuffer(data, np.uint8).reshape(rows, -1)[kept]
    connection.execute(
        f"UPDATE {table} SET rows = ?, data = ? WHERE image_id = ?", (len(values), values.tobytes(), image)
    )
