"""`transforms.json` of nerfstudio, instant-ngp and the synthetic NeRF scenes.

Formats: https://docs.nerf.studio/quickstart/data_conventions.html and
https://github.com/NVlabs/instant-ngp/blob/master/docs/nerf_dataset_tips.md. Poses are camera-to-world with OpenGL
camera axes (x right, y up, z backward); the world stays the file's own. What only arranges the scene in another
program's cube (`aabb_scale`, `scale`, `offset`) says nothing about it and is ignored.
"""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.artifacts.colmap import Camera, ColmapModel, PosedImage, quaternion_of, rotation_of
from reconstruction_pipeline.artifacts.errors import InvalidArtifact
from reconstruction_pipeline.artifacts.projects.source import Source, masks_beside, picture_size, plural

FILES = ("transforms.json", "transforms_train.json")
# The synthetic NeRF scenes leave the extension out.
EXTENSIONS = ("", ".png", ".jpg", ".jpeg", ".JPG", ".PNG")
POINT_FILES = ("sparse_pc.ply", "points3D.ply")
PERSPECTIVE = ("OPENCV", "PINHOLE", "SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL", "FULL_OPENCV", "PERSPECTIVE")
FISHEYE = ("OPENCV_FISHEYE", "FISHEYE")
ORTHONORMAL = 0.01
Array = npt.NDArray[np.float64]


def find_transforms(project: Path) -> Path | None:
    """The file itself, or the one in the folder."""
    if project.is_file():
        return project if project.suffix.lower() == ".json" else None
    return next((project / name for name in FILES if (project / name).is_file()), None)


def read_transforms(path: Path) -> Source:
    """Cameras, poses, and the points of a PLY file if there is one.

    Frames without picture are left out with a note; raises `InvalidArtifact` where none is left, or where the file
    is not what it should be.
    """
    document = _document(path)
    found = [(frame, picture) for frame in document["frames"] if (picture := _picture(path, frame)) is not None]
    lost = len(document["frames"]) - len(found)
    if not found:
        first = document["frames"][0].get("file_path", "?") if document["frames"] else "none listed"
        raise InvalidArtifact(
            f"{path}: none of the pictures it lists is there ({plural(lost, 'frame')}, such as '{first}'); "
            "put them where the file says."
        )
    notes = []
    if lost:
        notes.append(f"{lost} of {len(document['frames'])} frames of {path.name} have no picture and are left out.")
    root = Path(os.path.commonpath([picture.parent for _, picture in found]))
    cameras: dict[Camera, int] = {}
    images: dict[str, PosedImage] = {}
    masks = {}
    for frame, picture in found:
        name = picture.relative_to(root).as_posix()
        if name in images:
            raise InvalidArtifact(f"{path}: the picture '{name}' is listed twice; give each frame its own.")
        camera = _camera(path, {**document, **frame}, picture)
        images[name] = _posed(path, name, frame.get("transform_matrix"), cameras.setdefault(camera, len(cameras) + 1))
        if "mask_path" in frame and (path.parent / frame["mask_path"]).is_file():
            masks[name] = path.parent / frame["mask_path"]
    xyz, rgb, said = _points(path, document)
    model = ColmapModel(
        {number: camera for camera, number in cameras.items()},
        tuple(images[name] for name in sorted(images)),
        xyz,
        rgb,
        np.zeros(len(xyz)),
        np.zeros(len(xyz), np.int64),
    )
    return Source(model, root, masks or masks_beside(root, sorted(images)), (*notes, *said))


def _document(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise InvalidArtifact(f"{path}: is not a JSON file that can be read ({error}); export it again.") from error
    frames = document.get("frames") if isinstance(document, dict) else None
    if not isinstance(frames, list) or not all(isinstance(frame, dict) for frame in frames):
        raise InvalidArtifact(f"{path}: has no list 'frames'; give a transforms.json of nerfstudio or instant-ngp.")
    return document


def _picture(path: Path, frame: dict[str, Any]) -> Path | None:
    listed = str(frame.get("file_path", "")).replace("\\", "/")
    for extension in EXTENSIONS:
        candidate = path.parent / f"{listed}{extension}"
        if listed and candidate.is_file():
            return candidate.resolve()
    return None


def _camera(path: Path, values: dict[str, Any], picture: Path) -> Camera:
    try:
        width, height = (int(values["w"]), int(values["h"])) if "w" in values else picture_size(picture)
        if "fl_x" in values:
            fx = float(values["fl_x"])
        else:
            fx = 0.5 * width / math.tan(0.5 * float(values["camera_angle_x"]))
        if "fl_y" in values:
            fy = float(values["fl_y"])
        elif "fl_x" not in values and "camera_angle_y" in values:
            fy = 0.5 * height / math.tan(0.5 * float(values["camera_angle_y"]))
        else:
            fy = fx
        cx, cy = float(values.get("cx", width / 2)), float(values.get("cy", height / 2))
        k1, k2, k3, k4, p1, p2 = (float(values.get(key, 0.0)) for key in ("k1", "k2", "k3", "k4", "p1", "p2"))
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise InvalidArtifact(f"{path}: the intrinsics of '{picture.name}' are incomplete ({error}).") from error
    model = str(values.get("camera_model", "OPENCV")).upper()
    if not (fx > 0 and fy > 0 and math.isfinite(fx * fy)):
        raise InvalidArtifact(f"{path}: the focal length of '{picture.name}' is not positive; export the file again.")
    if model in FISHEYE or values.get("is_fisheye"):
        return Camera("OPENCV_FISHEYE", width, height, (fx, fy, cx, cy, k1, k2, k3, k4))
    if model not in PERSPECTIVE or k4:
        what = f"the camera model {model}" if model not in PERSPECTIVE else "a fourth radial term (k4)"
        raise InvalidArtifact(f"{path}: {what} is not known here; export undistorted pictures instead.")
    if k3:
        return Camera("FULL_OPENCV", width, height, (fx, fy, cx, cy, k1, k2, p1, p2, k3, 0.0, 0.0, 0.0))
    if k1 or k2 or p1 or p2:
        return Camera("OPENCV", width, height, (fx, fy, cx, cy, k1, k2, p1, p2))
    return Camera("PINHOLE", width, height, (fx, fy, cx, cy))


def _posed(path: Path, name: str, matrix: Any, camera: int) -> PosedImage:
    try:
        to_world = np.array(matrix, float)[:3]
    except (TypeError, ValueError, IndexError):
        to_world = np.zeros(0)
    if to_world.shape != (3, 4) or not np.isfinite(to_world).all():
        raise InvalidArtifact(f"{path}: the transform_matrix of '{name}' is not a 4x4 matrix of numbers.")
    axes = to_world[:, :3]
    if np.abs(axes.T @ axes - np.eye(3)).max() > ORTHONORMAL or np.linalg.det(axes) < 0:
        raise InvalidArtifact(f"{path}: the transform_matrix of '{name}' is not a rotation and a position.")
    # OpenGL camera (y up, z backward) to OpenCV camera (y down, z forward): the last two axes turn round.
    quaternion = quaternion_of((axes * [1.0, -1.0, -1.0]).T)
    rotation = rotation_of(quaternion)
    return PosedImage(
        name, camera, quaternion, rotation, -rotation @ to_world[:, 3], np.zeros((0, 2)), np.zeros(0, np.int64)
    )


def _points(path: Path, document: dict[str, Any]) -> tuple[Array, npt.NDArray[np.uint8], tuple[str, ...]]:
    none = np.zeros((0, 3)), np.zeros((0, 3), np.uint8)
    listed = document.get("ply_file_path")
    files = [path.parent / name for name in ([listed] if listed else POINT_FILES)]
    file = next((f for f in files if f.is_file()), None)
    if file is None:
        return *none, ((f"The points '{listed}' are missing.",) if listed else ())
    from plyfile import PlyData, PlyParseError

    try:
        vertices = PlyData.read(str(file))["vertex"]
        xyz = np.stack([np.asarray(vertices[axis], float) for axis in "xyz"], 1)
        rgb = np.stack([np.asarray(vertices[name]).astype(np.uint8) for name in ("red", "green", "blue")], 1)
    except (PlyParseError, KeyError, ValueError, OSError) as error:
        return *none, (f"The points of {file.name} cannot be used ({error}).",)
    good = np.isfinite(xyz).all(axis=1)
    return xyz[good], rgb[good], ()
