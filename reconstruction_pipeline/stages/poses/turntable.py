"""The mapper for a turntable: poses on a circle, points triangulated, everything adjusted; part of the child process.

The circle is a guess to start from. The last adjustments know nothing of it: each camera goes where the pictures want
it, and how far that is from a circle is measured afterwards (`circle.py`).
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.stages.poses.mapping import posed, refine, triangulated
from reconstruction_pipeline.stages.poses.matches import PAIR_BASE
from reconstruction_pipeline.stages.poses.single_axis import Matched, SingleAxis, fit_single_axis

if TYPE_CHECKING:
    from reconstruction_pipeline.stages.poses.channel import Channel

# Of the matches of neighbouring pictures, the share that must agree with one motion about one axis.
LEAST_SHARE = 0.35
# Matches of a pair that agree: fewer are chance. Points that a picture must see to be placed.
LEAST_OF_PAIR, LEAST_SEEN = 8, 15


def map_on_turntable(job: dict[str, Any], database: Path, channel: Channel) -> tuple[list[Any], dict[str, Any]]:
    """The model (`pycolmap.Reconstruction`) in a list, empty where there is none; and what is known of the circle.

    `job["times_s"]`: when each image was taken, by name, or empty: equal steps in the order of names. Of the matches
    in `database` those count that agree with the circle, verified by themselves or not; the database stays as it is.
    """
    names = sorted(name for group in job["groups"] for name in group["names"])
    if len(job["groups"]) > 1:
        return [], {"refused": f"the pictures are of {len(job['groups'])} sizes or focal lengths; a turntable has one"}
    times = [job["times_s"].get(name) for name in names]
    when = np.arange(len(names), dtype=np.float64) if None in times else np.array(times, np.float64)
    if len(names) < 3 or np.ptp(when) <= 0 or (np.diff(when) < 0).any():
        return [], {"refused": "the pictures have no order in time"}
    # The turn is counted in steps of equal time.
    when = (when - when[0]) / np.ptp(when)
    (group,) = job["groups"]
    found = _Matches.read(database, names, group["longest_side"])
    channel.send("phase", phase="mapping", total=len(names))
    focal = group["camera_params"][0] / group["longest_side"] if group["camera_params"] else None
    motion = fit_single_axis(found.matched, when, focal, job["seed"])
    if motion is None:
        return [], {"refused": "there are too few matches to tell a turn"}
    circle = {
        "turn_deg": round(float(np.degrees(motion.angles[-1])), 2),
        "elevation_deg": round(motion.elevation_deg, 2),
        "agreeing": round(motion.share, 3),
    }
    if motion.share < LEAST_SHARE:
        refused = f"only {100 * motion.share:.0f} % of the matches between neighbours agree with a turn about one axis"
        return [], {**circle, "refused": refused}
    on_circle = Path(job["work"]) / "on-circle.db"
    shutil.copy(database, on_circle)
    found.write_agreeing(on_circle, motion)
    model = _adjusted(job, on_circle, motion, found, group["longest_side"])
    if not model.num_reg_images():
        return [], {**circle, "refused": "no picture sees enough points that fit the circle"}
    return [model], circle


class _Matches:
    """All matches of a database, verified or not, with the numbers that COLMAP gives to images and features."""

    def __init__(self, matched: Matched, rows: npt.NDArray[np.uint32], numbers: list[int]) -> None:
        self.matched, self._rows, self.numbers = matched, rows, numbers

    @classmethod
    def read(cls, database: Path, names: list[str], longest: int) -> _Matches:
        with contextlib.closing(sqlite3.connect(database)) as connection:
            number_of = {name: number for number, name in connection.execute("SELECT image_id, name FROM images")}
            numbers = [number_of[name] for name in names]
            place = {number: row for row, number in enumerate(numbers)}
            sizes = connection.execute("SELECT image_id, width, height FROM images JOIN cameras USING (camera_id)")
            middle = {image: np.array([width / 2, height / 2]) for image, width, height in sizes}
            xy = {}
            for image, rows, cols, data in connection.execute("SELECT image_id, rows, cols, data FROM keypoints"):
                points = np.frombuffer(data or b"", np.float32).reshape(rows, cols)[:, :2].astype(np.float64)
                xy[image] = (points - middle[image]) / longest
            pairs: list[tuple[int, int]] = []
            rows_of, pair, first, second = [], [], [], []
            query = "SELECT pair_id, rows, data FROM matches WHERE rows > 0 ORDER BY pair_id"
            for pair_id, rows, data in connection.execute(query):
                a, b = divmod(pair_id, PAIR_BASE)
                index = np.frombuffer(data, np.uint32).reshape(rows, 2)
                first.append(xy[a][index[:, 0]])
                second.append(xy[b][index[:, 1]])
                pair.append(np.full(rows, len(pairs), np.int64))
                # Images are numbered by name: the first of a pair is the earlier one.
                pairs.append((place[a], place[b]))
                rows_of.append(index)
        none = np.zeros((0, 2))
        matched = Matched(
            np.array(pairs, np.int64).reshape(-1, 2),
            np.concatenate([np.zeros(0, np.int64), *pair]),
            np.concatenate([none, *first]),
            np.concatenate([none, *second]),
        )
        return cls(matched, np.concatenate([none.astype(np.uint32), *rows_of]), numbers)

    def write_agreeing(self, database: Path, motion: SingleAxis) -> None:
        """Put the matches that agree with `motion` in the place of the verified ones."""
        import pycolmap

        agree = motion.agreeing(self.matched)
        with pycolmap.Database.open(database) as opened:
            opened.clear_two_view_geometries()
            for row, (a, b) in enumerate(self.matched.pairs):
                kept = self._rows[(self.matched.pair == row) & agree]
                if len(kept) >= LEAST_OF_PAIR:
                    geometry = pycolmap.TwoViewGeometry()
                    geometry.config = int(pycolmap.TwoViewGeometryConfiguration.CALIBRATED)
                    geometry.inlier_matches = np.ascontiguousarray(kept)
                    opened.write_two_view_geometry(self.numbers[a], self.numbers[b], geometry)


def _adjusted(job: dict[str, Any], database: Path, motion: SingleAxis, found: _Matches, longest: int) -> Any:
    """Triangulated and adjusted twice: while the circle may be off, and as strictly as ever."""
    import pycolmap

    rotations, translations = motion.poses()
    poses: Mapping[int, Any] = {
        number: pycolmap.Rigid3d(np.column_stack([rotation, translation]))
        for number, rotation, translation in zip(found.numbers, rotations, translations, strict=True)
    }
    with pycolmap.Database.open(database) as opened:
        cameras = {camera.camera_id: camera for camera in opened.read_all_cameras()}
    for camera in cameras.values():
        params = list(camera.params)
        for index in camera.focal_length_idxs():
            params[index] = motion.focal * longest
        camera.params = params
    model = posed(database, poses, cameras)
    for loosely in (True, False):
        model = triangulated(job, database, model, loosely, LEAST_OF_PAIR)
        refine(model)
    for number in list(model.reg_image_ids()):
        image = model.image(number)
        if image.num_points3D < LEAST_SEEN:
            model.deregister_frame(image.frame_id)
    return model
