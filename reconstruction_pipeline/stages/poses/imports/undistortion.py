"""Pictures without lens distortion: COLMAP's camera models and choice of camera, our own resampling.

COLMAP's own resampling drops the alpha channel, which says what belongs to the object, and knows no masks. Runs in
the child process (`worker.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.artifacts.colmap import Camera, PosedImage, read_model, write_model

if TYPE_CHECKING:
    from reconstruction_pipeline.stages.poses.channel import Channel

ROWS_AT_ONCE = 128
# A lens so wide that less than this share of the picture would be left is refused.
LEAST_KEPT = 0.15
Map = npt.NDArray[np.float32]


def undistort(job: dict[str, Any], channel: Channel) -> dict[str, Any]:
    """Write `images/`, `masks/` and `sparse/0` (PINHOLE) of the model `job["model"]` into `job["output"]`.

    The new camera shows no pixel from outside the picture; `least_kept` is the share of the picture that the widest
    lens keeps. Names stay, and so do 8 or 16 bits and alpha.
    """
    # Before pycolmap: its library brings a zlib of its own.
    import cv2  # noqa: F401
    import pycolmap

    source, output = read_model(Path(job["model"])), Path(job["output"])
    cameras: dict[int, Camera] = {}
    images: list[PosedImage] = []
    least_kept = 1.0
    channel.send("phase", phase="undistorting", total=len(source.images))
    for number, camera in source.cameras.items():
        lens = pycolmap.Camera(model=camera.model, width=camera.width, height=camera.height, params=camera.params)
        target, kept = _straight(lens)
        cameras[number], least_kept = target, min(least_kept, kept)
        at = _sampling(lens, target)
        views = [image for image in source.images if image.camera_id == number]
        with ThreadPoolExecutor(job["threads"]) as pool:
            tasks = [pool.submit(_resample, job, output, image.name, at) for image in views]
            for image, task in zip(views, tasks, strict=True):
                task.result()
                images.append(_observed(image, lens, target))
                channel.send("registered", count=len(images))
    model = replace(source, cameras=cameras, images=tuple(sorted(images, key=lambda image: image.name)))
    write_model(output / "sparse" / "0", model)
    return {"images": len(images), "least_kept": round(least_kept, 3)}


def _observed(image: PosedImage, lens: Any, target: Camera) -> PosedImage:
    """The image with its observations where the straight picture shows them."""
    fx, fy, cx, cy = target.params
    rays = np.asarray(lens.cam_from_img(image.xy)).reshape(-1, 2)
    seen = np.isfinite(rays).all(axis=1)
    return replace(image, xy=rays[seen] * [fx, fy] + [cx, cy], point_rows=image.point_rows[seen])


def _straight(lens: Any) -> tuple[Camera, float]:
    """The PINHOLE camera COLMAP chooses, and the share of the picture that it shows."""
    import pycolmap

    target = pycolmap.undistort_camera(pycolmap.UndistortCameraOptions(blank_pixels=0.0), lens)
    camera = Camera("PINHOLE", target.width, target.height, tuple(float(value) for value in target.params))
    x, y = np.meshgrid((np.arange(50) + 0.5) / 50 * lens.width, (np.arange(50) + 0.5) / 50 * lens.height)
    rays = np.asarray(lens.cam_from_img(np.column_stack([x.ravel(), y.ravel()])))
    fx, fy, cx, cy = camera.params
    with np.errstate(invalid="ignore"):
        xy = rays * [fx, fy] + [cx, cy]
        kept = float(((xy >= 0) & (xy <= (camera.width, camera.height))).all(axis=1).mean())
    if not np.isfinite(camera.params).all() or kept < LEAST_KEPT:
        raise RuntimeError(
            f"an {lens.model_name} lens this wide leaves {100 * kept:.0f} % of the picture; export perspective views"
        )
    return camera, kept


def _sampling(lens: Any, target: Camera) -> tuple[Map, Map]:
    """(column, row), each (height, width), of the source pixel for each pixel of the target, as OpenCV counts them."""
    return tuple(  # type: ignore[return-value]
        np.concatenate(parts).astype(np.float32) for parts in zip(*_sampled_rows(lens, target), strict=True)
    )


def _sampled_rows(lens: Any, target: Camera) -> Iterator[tuple[npt.NDArray[Any], npt.NDArray[Any]]]:
    fx, fy, cx, cy = target.params
    x = (np.arange(target.width) + 0.5 - cx) / fx
    for top in range(0, target.height, ROWS_AT_ONCE):
        y = (np.arange(top, min(top + ROWS_AT_ONCE, target.height)) + 0.5 - cy) / fy
        rays = np.stack([*(axis.ravel() for axis in np.meshgrid(x, y)), np.ones(len(x) * len(y))], axis=1)
        pixels = np.nan_to_num(np.asarray(lens.img_from_cam(rays)), nan=-1e4) - 0.5
        yield pixels[:, 0].reshape(len(y), len(x)), pixels[:, 1].reshape(len(y), len(x))


def _resample(job: dict[str, Any], output: Path, name: str, at: tuple[Map, Map]) -> None:
    import cv2

    # COLMAP ignores EXIF orientation, and so must everything that uses its poses; so does 'unchanged'.
    source = Path(job["pictures"]) / name
    picture = cv2.imread(str(source), cv2.IMREAD_UNCHANGED)
    if picture is None:
        raise RuntimeError(f"{source}: the picture cannot be read")
    straight = cv2.remap(picture, *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    _write(output / "images" / name, straight, [cv2.IMWRITE_JPEG_QUALITY, job["jpeg_quality"]])
    if name in job["masks"]:
        mask = cv2.imread(job["masks"][name], cv2.IMREAD_GRAYSCALE)
        if mask is None:
            raise RuntimeError(f"{job['masks'][name]}: the mask cannot be read")
        height, width = picture.shape[:2]
        mask = cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST)
        straight = cv2.remap(mask, *at, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT, borderValue=0)
        _write(output / "masks" / f"{name}.png", straight, [])


def _write(path: Path, picture: Any, options: list[int]) -> None:
    import cv2

    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), picture, options):
        raise RuntimeError(f"{path}: cannot be written")
