"""Images numbered by name in a COLMAP database, so that the same input gives the same result.

Extraction stores images in the order in which its threads finish, and every later order (pairs, seeds of
the random samples, sums in the bundle adjustment) follows from the numbers given then.
"""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

OFFSET = 1_000_000_000


def number_by_name(database: Path) -> None:
    """Renumber images and their frames from 1 in name order; for a database without matches yet."""
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        rows = connection.execute(
            "SELECT image_id, frame_id FROM images JOIN frame_data ON data_id = image_id ORDER BY name"
        ).fetchall()
        image_ids = [(rank, old + OFFSET) for rank, (old, _) in enumerate(rows, start=1)]
        frame_ids = [(rank, old + OFFSET) for rank, (_, old) in enumerate(rows, start=1)]
        for table, column, ids in (
            ("images", "image_id", image_ids),
            ("keypoints", "image_id", image_ids),
            ("descriptors", "image_id", image_ids),
            ("frame_data", "data_id", image_ids),
            ("frame_data", "frame_id", frame_ids),
            ("frames", "frame_id", frame_ids),
        ):
            connection.execute(f"UPDATE {table} SET {column} = {column} + {OFFSET}")
            connection.executemany(f"UPDATE {table} SET {column} = ? WHERE {column} = ?", ids)
        # This table has no key of its own: its rows are read in the order in which they were written.
        ordered = connection.execute("SELECT * FROM frame_data ORDER BY frame_id").fetchall()
        connection.execute("DELETE FROM frame_data")
        connection.executemany("INSERT INTO frame_data VALUES (?, ?, ?, ?)", ordered)
