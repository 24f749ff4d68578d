"""SIFT features into COLMAP's database; part of the child process.

Lowe, "Distinctive image features from scale-invariant keypoints", IJCV 2004; descriptors are normalised as in
Arandjelović and Zisserman, "Three things everyone should know to improve object retrieval", CVPR 2012.

OpenCV finds the same features as COLMAP in a third of the time, and keeps those of the best contrast where COLMAP
keeps the largest, which are the least precise.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

LAYERS = 3


def extract(job: dict[str, Any], database: Path) -> None:
    """Features of all images of the job, numbered in name order. Raises `RuntimeError` for an unreadable image."""
    from reconstruction_pipeline.stages.poses.numbering import number_by_name

    if job["rung"]["extractor"] == "thorough":
        for group in job["groups"]:
            _by_colmap(job, group, database)
        number_by_name(database)
    else:
        _by_opencv(job, database)


def _by_colmap(job: dict[str, Any], group: dict[str, Any], database: Path) -> None:
    import pycolmap

    options = pycolmap.FeatureExtractionOptions()
    options.use_gpu = False
    options.num_threads = job["threads"]
    options.sift.max_num_features = job["rung"]["features"]
    options.sift.peak_threshold = job["rung"]["peak_threshold"]
    options.sift.estimate_affine_shape = options.sift.domain_size_pooling = job["rung"]["affine"]
    pycolmap.extract_features(
        database,
        job["images"],
        image_names=group["names"],
        camera_mode=pycolmap.CameraMode.SINGLE,
        reader_options=_reader(job, group),
        extraction_options=options,
        device=pycolmap.Device.cpu,
    )


def _reader(job: dict[str, Any], group: dict[str, Any]) -> Any:
    import pycolmap

    reader = pycolmap.ImageReaderOptions(camera_model=job["camera_model"])
    if group["camera_params"]:
        reader.camera_params = ",".join(repr(p) for p in group["camera_params"])
    if job.get("masks"):
        reader.mask_path = job["masks"]
    return reader


def _by_opencv(job: dict[str, Any], database: Path) -> None:
    import cv2
    import pycolmap

    from reconstruction_pipeline.stages.poses.numbering import number_by_name

    with pycolmap.Database.open(database):
        pass
    for group in job["groups"]:
        pycolmap.import_images(database, job["images"], pycolmap.CameraMode.SINGLE, group["names"], _reader(job, group))
    number_by_name(database)
    # One image a thread: OpenCV's own threads would wait for each other.
    cv2.setNumThreads(1)
    rung = job["rung"]

    def features(name: str) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
        mask = Path(job["masks"]) / f"{name}.png" if job.get("masks") else None
        return sift(Path(job["images"]) / name, rung["features"], rung["peak_threshold"], mask, rung["scale"])

    with pycolmap.Database.open(database) as opened, ThreadPoolExecutor(job["threads"]) as threads:
        images = sorted(opened.read_all_images(), key=lambda image: image.name)
        for image, (points, descriptors) in zip(images, threads.map(features, [i.name for i in images]), strict=True):
            opened.write_keypoints(image.image_id, points)
            opened.write_descriptors(
                image.image_id,
                pycolmap.FeatureDescriptors(type=pycolmap.FeatureExtractorType.SIFT, data=descriptors),
            )


def sift(
    path: Path, most: int, peak_threshold: float, mask: Path | None = None, scale: float = 1.0
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
    """(N, 4) keypoints (x, y in pixels with centres at half integers, scale, angle) and (N, 128) root-SIFT.

    `mask`: an image of the same or another size, 0 where no features are wanted; a path without a file is no mask.
    `scale`: of the picture that is looked at; OpenCV begins at twice that, so that a half leaves out the finest octave
    (COLMAP's first octave 0 in place of -1).
    Raises `RuntimeError` when the image cannot be read.
    """
    import cv2

    gray = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if gray is None:
        raise RuntimeError(f"the image {path.name} cannot be read")
    height, width = gray.shape
    if scale < 1.0:
        size = max(1, round(scale * width)), max(1, round(scale * height))
        gray = cv2.resize(gray, size, interpolation=cv2.INTER_AREA)
    across, down = width / gray.shape[1], height / gray.shape[0]
    finder = cv2.SIFT_create(  # type: ignore[attr-defined]
        nfeatures=most,
        nOctaveLayers=LAYERS,
        contrastThreshold=peak_threshold * LAYERS,
        edgeThreshold=10,
        sigma=1.6,
        enable_precise_upscale=True,
    )
    found, descriptors = finder.detectAndCompute(gray, _mask(mask, gray.shape))
    if descriptors is None:
        return np.zeros((0, 4), np.float32), np.zeros((0, 128), np.uint8)
    points = np.array(
        [[across * (p.pt[0] + 0.5), down * (p.pt[1] + 0.5), 0.5 * across * p.size, np.radians(p.angle)] for p in found],
        np.float32,
    )
    root = np.sqrt(descriptors / np.maximum(descriptors.sum(axis=1, keepdims=True), 1e-9))
    # The order among equals depends on nothing but the image; COLMAP's own order is by scale.
    return points, np.clip(np.round(512 * root), 0, 255).astype(np.uint8)


def _mask(path: Path | None, shape: tuple[int, ...]) -> Any:
    import cv2

    if path is None or not path.is_file():
        return None
    mask = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if mask is None:
        raise RuntimeError(f"the mask {path.name} cannot be read")
    if mask.shape != shape:
        mask = cv2.resize(mask, (shape[1], shape[0]), interpolation=cv2.INTER_NEAREST)
    return np.where(mask > 0, 255, 0).astype(np.uint8)
