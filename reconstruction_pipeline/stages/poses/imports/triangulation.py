"""Points for cameras that are known: features, matches of cameras that look the same way, triangulation.

Runs in the child process (`worker.py`). The poses and cameras stay exactly as given.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.artifacts.colmap import ColmapModel, read_model, write_model

if TYPE_CHECKING:
    from reconstruction_pipeline.stages.poses.channel import Channel

# All pairs up to this many images; beyond it each image with its nearest neighbours of similar direction.
EXHAUSTIVE_UP_TO, NEIGHBOURS = 24, 12
# Cameras turned further from each other than this hardly show the same side of anything.
MOST_TURNED_DEG = 80.0
# This many degrees count as much as the usual distance from a camera to its nearest neighbour.
DEGREES_PER_STEP = 10.0
# Inliers of a pair that overlaps well.
STRONG_PAIR = 100


def pairs_by_pose(model: ColmapModel) -> list[tuple[int, int]]:
    """Pairs (i < j) of rows of `model.images` that may see the same things, sorted."""
    count = len(model.images)
    forward = np.array([image.rotation[2] for image in model.images])
    turned = np.degrees(np.arccos(np.clip(forward @ forward.T, -1.0, 1.0)))
    apart = np.linalg.norm(model.centers[:, None] - model.centers, axis=-1)
    step = float(np.median(np.sort(apart, axis=1)[:, 1])) or 1.0
    cost = np.where(turned > MOST_TURNED_DEG, np.inf, apart / step + turned / DEGREES_PER_STEP)
    np.fill_diagonal(cost, np.inf)
    keep = count if count <= EXHAUSTIVE_UP_TO else NEIGHBOURS
    nearest = np.argsort(cost, axis=1, kind="stable")[:, :keep]
    return sorted({(min(i, j), max(i, j)) for i in range(count) for j in map(int, nearest[i]) if cost[i, j] < np.inf})


def triangulate(job: dict[str, Any], channel: Channel) -> dict[str, Any]:
    """Write the model `job["model"]`, of whatever lens, with new points and observations into `job["output"]`.

    `database` (COLMAP's, under the given names) stays in `job["work"]`.
    """
    import pycolmap

    from reconstruction_pipeline.stages.poses.numbering import number_by_name

    pycolmap.set_random_seed(job["seed"])
    given, work = read_model(Path(job["model"])), Path(job["work"])
    model = _numbered(given, Path(job["pictures"]), work / "pictures")
    database, names = work / "database.db", [image.name for image in model.images]
    channel.send("phase", phase="features", total=len(names))
    _extract(job, model, database)
    number_by_name(database)
    pairs = pairs_by_pose(model)
    channel.send("phase", phase="matching", total=len(pairs))
    _match(job, database, [(names[i], names[j]) for i, j in pairs])
    channel.send("phase", phase="triangulating", total=1)
    posed = _posed(model, database)
    options = pycolmap.IncrementalPipelineOptions()
    options.num_threads = 1
    options.random_seed = options.mapper.random_seed = options.triangulation.random_seed = job["seed"]
    (work / "triangulated").mkdir()
    found = pycolmap.triangulate_points(posed, database, work / "pictures", work / "triangulated", options=options)
    found.write_binary(work / "triangulated")
    result = _with_points_of(given, model, read_model(work / "triangulated"))
    write_model(Path(job["output"]), result)
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        back = zip((i.name for i in given.images), names, strict=True)
        connection.executemany("UPDATE images SET name = ? WHERE name = ?", back)
        (features,) = connection.execute("SELECT AVG(rows) FROM keypoints").fetchone()
        inliers = [rows for (rows,) in connection.execute("SELECT rows FROM two_view_geometries WHERE rows > 0")]
    return {
        "points": len(result.xyz),
        "pairs": len(pairs),
        "verified_pairs": len(inliers),
        "strong_pairs": sum(rows >= STRONG_PAIR for rows in inliers),
        "features_per_image": features or 0.0,
        "cpu_s": {"given": round(time.process_time(), 2)},
        "database": str(database),
    }


def _numbered(model: ColmapModel, pictures: Path, folder: Path) -> ColmapModel:
    """The model with plain numbers for names, and links to its pictures: COLMAP splits lists of names at spaces."""
    folder.mkdir(parents=True)
    images = []
    for row, image in enumerate(model.images):
        alias = f"{row:06d}{Path(image.name).suffix}"
        (folder / alias).symlink_to(pictures / image.name)
        images.append(replace(image, name=alias))
    return replace(model, images=tuple(images))


def _extract(job: dict[str, Any], model: ColmapModel, database: Path) -> None:
    import pycolmap

    options = pycolmap.FeatureExtractionOptions()
    options.use_gpu = False
    options.num_threads = job["threads"]
    options.max_image_size = job["max_image_size"]
    options.sift.max_num_features = job["features"]
    options.sift.first_octave = job["first_octave"]
    for number, camera in model.cameras.items():
        reader = pycolmap.ImageReaderOptions(camera_model=camera.model)
        reader.camera_params = ",".join(repr(value) for value in camera.params)
        pycolmap.extract_features(
            database,
            database.parent / "pictures",
            image_names=[image.name for image in model.images if image.camera_id == number],
            camera_mode=pycolmap.CameraMode.SINGLE,
            reader_options=reader,
            extraction_options=options,
            device=pycolmap.Device.cpu,
        )


def _match(job: dict[str, Any], database: Path, pairs: list[tuple[str, str]]) -> None:
    import pycolmap

    listing = Path(job["work"]) / "pairs.txt"
    listing.write_text("".join(f"{first} {second}\n" for first, second in pairs))
    matching = pycolmap.FeatureMatchingOptions()
    matching.use_gpu = False
    matching.num_threads = job["threads"]
    verification = pycolmap.TwoViewGeometryOptions()
    verification.ransac.random_seed = job["seed"]
    verification.detect_watermark = False
    pairing = pycolmap.ImportedPairingOptions()
    pairing.match_list_path = str(listing)
    pycolmap.match_image_pairs(
        database,
        matching_options=matching,
        pairing_options=pairing,
        verification_options=verification,
        device=pycolmap.Device.cpu,
    )


def _posed(model: ColmapModel, database: Path) -> Any:
    """The given poses under the numbers that the database gave to cameras and images."""
    import pycolmap

    result = pycolmap.Reconstruction()
    with pycolmap.Database.open(database) as opened:
        stored = {image.name: image for image in opened.read_all_images()}
        missing = [image.name for image in model.images if image.name not in stored]
        if missing:
            raise RuntimeError(f"no features were stored for {len(missing)} images, such as {missing[0]}")
        for camera in opened.read_all_cameras():
            result.add_camera(camera)
        for rig in opened.read_all_rigs():
            result.add_rig(rig)
        poses = {stored[i.name].image_id: pycolmap.Rigid3d(_pose(i.rotation, i.translation)) for i in model.images}
        for frame in opened.read_all_frames():
            (image_id,) = [data.id for data in frame.image_ids]
            frame.rig_from_world = poses[image_id]
            result.add_frame(frame)
        for image in stored.values():
            result.add_image(image)
            result.register_frame(image.frame_id)
    return result


def _pose(rotation: npt.NDArray[Any], translation: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    return np.column_stack([rotation, translation])


def _with_points_of(given: ColmapModel, numbered: ColmapModel, found: ColmapModel) -> ColmapModel:
    seen = {image.name: image for image in found.images}
    images = tuple(
        replace(image, xy=seen[alias.name].xy, point_rows=seen[alias.name].point_rows)
        for image, alias in zip(given.images, numbered.images, strict=True)
    )
    return replace(
        given, images=images, xyz=found.xyz, rgb=found.rgb, errors=found.errors, track_lengths=found.track_lengths
    )
