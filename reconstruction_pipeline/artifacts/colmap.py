"""COLMAP's binary sparse model, read and written without pycolmap.

pycolmap may abort the interpreter and must not be loaded beside other zlib users, so
it lives in a child process; everything after it reads the three files with NumPy.
Format: https://colmap.github.io/format.html#binary-file-format. COLMAP 4 writes
rigs.bin and frames.bin beside them; for a single camera the three files say everything.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.artifacts.errors import InvalidArtifact

# id -> (name, number of parameters), as COLMAP 4.2 numbers them
CAMERA_MODELS = {
    0: ("SIMPLE_PINHOLE", 3),
    1: ("PINHOLE", 4),
    2: ("SIMPLE_RADIAL", 4),
    3: ("RADIAL", 5),
    4: ("OPENCV", 8),
    5: ("OPENCV_FISHEYE", 8),
    6: ("FULL_OPENCV", 12),
    7: ("FOV", 5),
    8: ("SIMPLE_RADIAL_FISHEYE", 4),
    9: ("RADIAL_FISHEYE", 5),
    10: ("THIN_PRISM_FISHEYE", 12),
    11: ("RAD_TAN_THIN_PRISM_FISHEYE", 16),
    12: ("SIMPLE_DIVISION", 4),
    13: ("DIVISION", 5),
    14: ("SIMPLE_FISHEYE", 3),
    15: ("FISHEYE", 4),
    16: ("EUCM", 6),
    17: ("EQUIRECTANGULAR", 2),
}
# Models whose distortion vanishes when all parameters after the principal point are zero -> number of focal lengths.
FOCAL_LENGTHS = {"SIMPLE_PINHOLE": 1, "SIMPLE_RADIAL": 1, "RADIAL": 1, "PINHOLE": 2, "OPENCV": 2, "FULL_OPENCV": 2}
MODEL_IDS = {name: model_id for model_id, (name, _) in CAMERA_MODELS.items()}


@dataclass(frozen=True)
class Camera:
    """Intrinsics; `params` in COLMAP's order (PINHOLE: fx, fy, cx, cy), pixel centres at half integers."""

    model: str
    width: int
    height: int
    params: tuple[float, ...]

    def pinhole(self) -> tuple[float, float, float, float]:
        """(fx, fy, cx, cy); raises `InvalidArtifact` for a model with distortion."""
        focals = FOCAL_LENGTHS.get(self.model)
        if focals and not any(self.params[focals + 2 :]):
            cx, cy = self.params[focals : focals + 2]
            return self.params[0], self.params[focals - 1], cx, cy
        raise InvalidArtifact(
            f"the camera model {self.model} has lens distortion; undistort the images first (colmap image_undistorter)."
        )


@dataclass(frozen=True)
class PosedImage:
    """One image: x_cam = rotation @ x_world + translation.

    `point_rows` (M,) are rows of the model's point arrays seen in this image, at `xy` (M, 2) pixels.
    """

    name: str
    camera_id: int
    quaternion: tuple[float, float, float, float]
    rotation: npt.NDArray[np.float64]
    translation: npt.NDArray[np.float64]
    xy: npt.NDArray[np.float64]
    point_rows: npt.NDArray[np.int64]

    @property
    def center(self) -> npt.NDArray[np.float64]:
        """Camera centre in the world, (3,)."""
        return -self.rotation.T @ self.translation


@dataclass(frozen=True)
class ColmapModel:
    """A sparse reconstruction: `images` in name order; points as arrays with P rows."""

    cameras: dict[int, Camera]
    images: tuple[PosedImage, ...]
    xyz: npt.NDArray[np.float64]
    rgb: npt.NDArray[np.uint8]
    errors: npt.NDArray[np.float64]
    track_lengths: npt.NDArray[np.int64]

    @property
    def centers(self) -> npt.NDArray[np.float64]:
        """Camera centres in the world, (number of images, 3)."""
        return np.array([image.center for image in self.images]).reshape(-1, 3)


def only_images(model: ColmapModel, names: Collection[str]) -> ColmapModel:
    """The model of these images, with the points that at least two of them see."""
    kept = [image for image in model.images if image.name in names]
    tracks = np.zeros(len(model.xyz), np.int64)
    for image in kept:
        np.add.at(tracks, image.point_rows, 1)
    alive = tracks >= 2
    row_of = np.cumsum(alive) - 1
    images = []
    for image in kept:
        seen = alive[image.point_rows]
        images.append(replace(image, xy=image.xy[seen], point_rows=row_of[image.point_rows[seen]]))
    used = {image.camera_id for image in images}
    return ColmapModel(
        {key: camera for key, camera in model.cameras.items() if key in used},
        tuple(images),
        model.xyz[alive],
        model.rgb[alive],
        model.errors[alive],
        tracks[alive],
    )


def rotation_of(quaternion: tuple[float, float, float, float]) -> npt.NDArray[np.float64]:
    """(3, 3) rotation of a wxyz quaternion."""
    w, x, y, z = np.asarray(quaternion, float) / np.linalg.norm(quaternion)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def quaternion_of(rotation: npt.NDArray[np.float64]) -> tuple[float, float, float, float]:
    """Unit wxyz quaternion of a (3, 3) rotation, w >= 0."""
    # The eigenvector of Bar-Itzhack's symmetric matrix: exact and stable for every angle.
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = rotation
    k = np.array(
        [
            [xx - yy - zz, 0, 0, 0],
            [yx + xy, yy - xx - zz, 0, 0],
            [zx + xz, zy + yz, zz - xx - yy, 0],
            [zy - yz, xz - zx, yx - xy, xx + yy + zz],
        ]
    )
    _, vectors = np.linalg.eigh(k)
    x, y, z, w = vectors[:, -1] * (np.sign(vectors[3, -1]) or 1.0)
    return float(w), float(x), float(y), float(z)


def read_model(folder: Path, need_points: bool = True) -> ColmapModel:
    """Read `cameras.bin`, `images.bin` and `points3D.bin`; raise `InvalidArtifact` when that is impossible.

    Without `need_points`, a missing `points3D.bin` means a model without points.
    """
    for name in ("cameras.bin", "images.bin", "points3D.bin"):
        if not (folder / name).is_file() and (need_points or name != "points3D.bin"):
            raise InvalidArtifact(f"{folder}: '{name}' is missing; give the folder of a COLMAP binary model.")
    try:
        file: BinaryIO
        with (folder / "points3D.bin").open("rb") if (folder / "points3D.bin").is_file() else _no_points() as file:
            ids, xyz, rgb, errors, lengths = _read_points(file)
        with (folder / "cameras.bin").open("rb") as file:
            cameras = _read_cameras(file)
        with (folder / "images.bin").open("rb") as file:
            images = _read_images(file, ids)
    except (struct.error, ValueError, KeyError, UnicodeDecodeError) as error:
        raise InvalidArtifact(f"{folder}: the COLMAP model is damaged or of an unknown kind ({error}).") from error
    return ColmapModel(cameras, tuple(sorted(images, key=lambda i: i.name)), xyz, rgb, errors, lengths)


def _no_points() -> BinaryIO:
    return io.BytesIO(struct.pack("<Q", 0))


def _unpack(file: BinaryIO, layout: str) -> tuple[Any, ...]:
    return struct.unpack("<" + layout, file.read(struct.calcsize("<" + layout)))


def _read_cameras(file: BinaryIO) -> dict[int, Camera]:
    cameras = {}
    for _ in range(_unpack(file, "Q")[0]):
        camera_id, model_id, width, height = _unpack(file, "IiQQ")
        name, count = CAMERA_MODELS[model_id]
        cameras[camera_id] = Camera(name, width, height, _unpack(file, f"{count}d"))
    return cameras


def _read_points(file: BinaryIO) -> tuple[Any, ...]:
    data = file.read()
    (count,) = struct.unpack_from("<Q", data)
    ids = np.empty(count, np.int64)
    xyz, rgb = np.empty((count, 3)), np.empty((count, 3), np.uint8)
    errors, lengths = np.empty(count), np.empty(count, np.int64)
    offset, record = 8, struct.Struct("<Q3d3BdQ")
    for row in range(count):
        ids[row], *values, errors[row], lengths[row] = record.unpack_from(data, offset)
        xyz[row], rgb[row] = values[:3], values[3:]
        offset += record.size + 8 * int(lengths[row])
    if offset > len(data):
        raise ValueError("points3D.bin ends early")
    return ids, xyz, rgb, errors, lengths


def _read_images(file: BinaryIO, point_ids: npt.NDArray[np.int64]) -> list[PosedImage]:
    order = np.argsort(point_ids)
    sorted_ids = point_ids[order]
    images = []
    for _ in range(_unpack(file, "Q")[0]):
        _, qw, qx, qy, qz, tx, ty, tz, camera_id = _unpack(file, "I7dI")
        name = bytearray()
        while (char := file.read(1)) not in (b"\0", b""):
            name += char
        (count,) = _unpack(file, "Q")
        observations = np.frombuffer(file.read(24 * count), [("xy", "<f8", 2), ("id", "<i8")])
        if len(observations) != count:
            raise ValueError("images.bin ends early")
        seen = observations[observations["id"] >= 0]
        position = np.minimum(np.searchsorted(sorted_ids, seen["id"]), max(len(sorted_ids) - 1, 0))
        known = sorted_ids[position] == seen["id"] if len(sorted_ids) else np.zeros(len(seen), bool)
        quaternion = (qw, qx, qy, qz)
        images.append(
            PosedImage(
                name.decode(),
                camera_id,
                quaternion,
                rotation_of(quaternion),
                np.array([tx, ty, tz]),
                seen["xy"][known].copy(),
                order[position[known]],
            )
        )
    return images


def write_model(folder: Path, model: ColmapModel) -> None:
    """Write the three binary files; point ids are row + 1, tracks follow from the images."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "cameras.bin").open("wb") as file:
        file.write(struct.pack("<Q", len(model.cameras)))
        for camera_id, camera in model.cameras.items():
            file.write(struct.pack("<IiQQ", camera_id, MODEL_IDS[camera.model], camera.width, camera.height))
            file.write(struct.pack(f"<{len(camera.params)}d", *camera.params))
    tracks: list[list[tuple[int, int]]] = [[] for _ in range(len(model.xyz))]
    with (folder / "images.bin").open("wb") as file:
        file.write(struct.pack("<Q", len(model.images)))
        for image_id, image in enumerate(model.images, start=1):
            file.write(struct.pack("<I7dI", image_id, *image.quaternion, *image.translation, image.camera_id))
            file.write(image.name.encode() + b"\0" + struct.pack("<Q", len(image.xy)))
            observations = np.empty(len(image.xy), [("xy", "<f8", 2), ("id", "<i8")])
            observations["xy"], observations["id"] = image.xy, image.point_rows + 1
            file.write(observations.tobytes())
            for index, row in enumerate(image.point_rows):
                tracks[row].append((image_id, index))
    with (folder / "points3D.bin").open("wb") as file:
        file.write(struct.pack("<Q", len(model.xyz)))
        for row, track in enumerate(tracks):
            file.write(struct.pack("<Q3d3Bd", row + 1, *model.xyz[row], *model.rgb[row], model.errors[row]))
            file.write(
                struct.pack("<Q", len(track)) + struct.pack(f"<{2 * len(track)}I", *(v for o in track for v in o))
            )
