"""COLMAP's sparse model in text form, as COLMAP and the exports of RealityCapture and Metashape write it.

Format: https://colmap.github.io/format.html#text-format. Read leniently where exporters differ: points3D.txt may be
missing, the line of observations may be missing or empty, numbers of points may have any order.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.artifacts.colmap import CAMERA_MODELS, Camera, ColmapModel, PosedImage, rotation_of
from reconstruction_pipeline.artifacts.errors import InvalidArtifact

PARAMETERS = dict(CAMERA_MODELS.values())


def read_text_model(folder: Path) -> ColmapModel:
    """Read `cameras.txt`, `images.txt` and, if it exists, `points3D.txt`; `InvalidArtifact` names the bad line."""
    cameras = {}
    for place, line in _lines(folder / "cameras.txt"):
        with _Reading(place):
            camera_id, name, width, height, *params = line.split()
            if len(params) != PARAMETERS[name]:
                raise ValueError(f"{name} takes {PARAMETERS[name]} parameters, not {len(params)}")
            cameras[int(camera_id)] = Camera(name, int(width), int(height), tuple(map(float, params)))
    ids, xyz, rgb, errors, lengths = _read_points(folder / "points3D.txt")
    rows = {int(point_id): row for row, point_id in enumerate(ids)}
    images: list[PosedImage] = []
    for place, line in _lines(folder / "images.txt"):
        with _Reading(place):
            header = _header(line)
            if header is None:
                images[-1] = _observing(images[-1], line, rows)
            else:
                images.append(header)
                if header.camera_id not in cameras:
                    raise ValueError(f"camera {header.camera_id} is not in cameras.txt")
    return ColmapModel(cameras, tuple(sorted(images, key=lambda i: i.name)), xyz, rgb, errors, lengths)


def count_images(folder: Path) -> int:
    """How many images `images.txt` lists."""
    count = 0
    for place, line in _lines(folder / "images.txt"):
        with _Reading(place):
            count += _header(line) is not None
    return count


class _Reading:
    """Turns what goes wrong while reading a line into one sentence that names it."""

    def __init__(self, place: str) -> None:
        self._place = place

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if isinstance(error, (ValueError, KeyError, IndexError, ZeroDivisionError)):
            sentence = f"{self._place}: not what COLMAP writes ({error}); export the model again."
            raise InvalidArtifact(sentence) from error


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    """(file and line number, text) of the lines that say something."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, start=1):
                if line.strip() and not line.startswith("#"):
                    yield f"{path}, line {number}", line.rstrip("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidArtifact(f"{path}: cannot be read as a text file ({error}); export the model again.") from error


def _header(line: str) -> PosedImage | None:
    """The image of a line 'id qw qx qy qz tx ty tz camera_id name'; None for a line of observations.

    Observations are triples of numbers that end with a whole one, so a tenth field that is not a number tells them
    apart; a name that is a number by itself ('0001') only comes with exactly ten fields, which no triples have.
    """
    fields = line.split(maxsplit=9)
    if len(fields) < 10 or (len(line.split()) != 10 and _is_number(line.split()[9])):
        return None
    quaternion = (float(fields[1]), float(fields[2]), float(fields[3]), float(fields[4]))
    translation = np.array([float(v) for v in fields[5:8]])
    if not np.isfinite([*quaternion, *translation]).all() or not any(quaternion):
        raise ValueError("the pose is not a rotation and a translation")
    empty = np.zeros((0, 2)), np.zeros(0, np.int64)
    return PosedImage(
        fields[9].strip(), int(fields[8]), quaternion, rotation_of(quaternion), translation, empty[0], empty[1]
    )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _observing(image: PosedImage, line: str, rows: dict[int, int]) -> PosedImage:
    fields = line.split()
    if len(fields) % 3:
        raise ValueError("observations come in threes: x, y, point")
    values = np.array(fields, float).reshape(-1, 3)
    seen = [(x, y, rows[int(point)]) for x, y, point in values if int(point) in rows]
    table = np.array(seen, float).reshape(-1, 3)
    return PosedImage(
        image.name,
        image.camera_id,
        image.quaternion,
        image.rotation,
        image.translation,
        table[:, :2],
        table[:, 2].astype(np.int64),
    )


def _read_points(path: Path) -> tuple[npt.NDArray[Any], ...]:
    ids, values, lengths = [], [], []
    for place, line in _lines(path) if path.is_file() else ():
        with _Reading(place):
            fields = line.split()
            ids.append(int(fields[0]))
            values.append([float(v) for v in fields[1:8]])
            lengths.append((len(fields) - 8) // 2)
            if len(values[-1]) != 7:
                raise ValueError("a point needs a position, a colour and an error")
    table = np.array(values, float).reshape(-1, 7)
    if not np.isfinite(table[:, :3]).all():
        raise InvalidArtifact(f"{path}: some positions are not finite; export the model again.")
    return (
        np.array(ids, np.int64),
        table[:, :3].copy(),
        np.clip(table[:, 3:6], 0, 255).astype(np.uint8),
        table[:, 6].copy(),
        np.array(lengths, np.int64),
    )
