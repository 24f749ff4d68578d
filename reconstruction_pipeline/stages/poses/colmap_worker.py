"""COLMAP's side of the poses stage: a child process that may die without taking anything with it.

    python -m reconstruction_pipeline.stages.poses.colmap_worker JOB.json

pycolmap can abort the interpreter from its worker threads and only logs many failures, so nothing
else imports it. Messages to the parent are JSON lines on the original standard output; everything
COLMAP prints goes to standard error, which the parent keeps as the log. The parent's end of standard
input closing means that the parent is gone, and so is the reason to go on.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import sqlite3
import sys
import threading
from pathlib import Path
from typing import Any, TextIO

# Below this many features per image at full size, images are doubled before the search (first octave -1):
# four times the work, and what saves weakly textured or small frames.
ENOUGH_FEATURES = 1000
PILOT_IMAGES = 4
STRONG_PAIR = 100
# COLMAP's two-view configurations PLANAR, PANORAMIC and PLANAR_OR_PANORAMIC.
HOMOGRAPHY_CONFIGS = (4, 5, 6)


class Channel:
    """Sends messages to the parent."""

    def __init__(self) -> None:
        self._file: TextIO = os.fdopen(os.dup(1), "w", buffering=1)
        os.dup2(2, 1)

    def send(self, event: str, **values: Any) -> None:
        """One JSON line."""
        self._file.write(json.dumps({"event": event, **values}) + "\n")
        self._file.flush()


def main() -> int:
    """Run the job named on the command line; the exit status is 0 when a result was sent."""
    channel = Channel()
    # Ctrl-C is the parent's to answer; it stops this process in order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    job = json.loads(Path(sys.argv[1]).read_text())
    try:
        result = {"map": map_images, "undistort": undistort}[job["task"]](job, channel)
    except Exception as error:
        import traceback

        traceback.print_exc()
        channel.send("error", message=f"{type(error).__name__}: {error}")
        return 1
    # Kilobytes on Linux.
    channel.send("result", peak_rss_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, **result)
    return 0


def _leave_with_parent() -> None:
    sys.stdin.read()
    os._exit(1)


def map_images(job: dict[str, Any], channel: Channel) -> dict[str, Any]:
    """Features, matches and models of the images in `job["groups"]` (images that share one camera)."""
    import pycolmap

    from reconstruction_pipeline.stages.poses.numbering import number_by_name

    pycolmap.set_random_seed(job["seed"])
    names = sorted(name for group in job["groups"] for name in group["names"])
    database = Path(job["work"]) / "database.db"
    octave = job["rung"]["first_octave"]
    if octave is None:
        octave = _octave_for(job, names)
    channel.send("phase", phase="features", total=len(names), octave=octave)
    for group in job["groups"]:
        _extract(job, group, database, octave)
    number_by_name(database)
    with pycolmap.Database.open(database) as opened:
        images = {image.name: image.image_id for image in opened.read_all_images()}
        if set(images) != set(names):
            missing = sorted(set(names) - set(images))
            raise RuntimeError(f"no features were stored for {len(missing)} images, such as {missing[:3]}")
        descriptors = [opened.read_descriptors(images[name]).data for name in names]
    features = sum(len(d) for d in descriptors) / max(len(names), 1)
    pairs = _choose_pairs(job, descriptors)
    channel.send("phase", phase="matching", total=len(pairs))
    _match(job, database, names, pairs)
    verified = _verified_pairs(database)
    channel.send("phase", phase="mapping", total=len(names))
    models = _map(job, database, channel) if verified["verified_pairs"] else []
    return {
        "models": models,
        "first_octave": octave,
        "features_per_image": features,
        "pairs": len(pairs),
        **verified,
    }


def _extraction_options(job: dict[str, Any], octave: int) -> Any:
    import pycolmap

    options = pycolmap.FeatureExtractionOptions()
    options.use_gpu = False
    options.num_threads = job["threads"]
    options.sift.max_num_features = job["rung"]["features"]
    options.sift.first_octave = octave
    options.sift.peak_threshold = job["rung"]["peak_threshold"]
    return options


def _octave_for(job: dict[str, Any], names: list[str]) -> int:
    """0 when a few of the images show enough features without being doubled, else -1."""
    import numpy as np
    import pycolmap

    pilot = Path(job["work"]) / "pilot.db"
    rows = np.unique(np.linspace(0, len(names) - 1, PILOT_IMAGES).round().astype(int))
    pycolmap.extract_features(
        pilot, job["images"], image_names=[names[i] for i in rows], extraction_options=_extraction_options(job, 0)
    )
    with pycolmap.Database.open(pilot) as opened:
        counts = [opened.num_keypoints_for_image(image.image_id) for image in opened.read_all_images()]
    pilot.unlink()
    return 0 if counts and float(np.median(counts)) >= ENOUGH_FEATURES else -1


def _extract(job: dict[str, Any], group: dict[str, Any], database: Path, octave: int) -> None:
    import pycolmap

    reader = pycolmap.ImageReaderOptions(camera_model=job["camera_model"])
    if group["camera_params"]:
        reader.camera_params = ",".join(repr(p) for p in group["camera_params"])
    if job.get("masks"):
        reader.mask_path = job["masks"]
    pycolmap.extract_features(
        database,
        job["images"],
        image_names=group["names"],
        camera_mode=pycolmap.CameraMode.SINGLE,
        reader_options=reader,
        extraction_options=_extraction_options(job, octave),
        device=pycolmap.Device.cpu,
    )


def _choose_pairs(job: dict[str, Any], descriptors: list[Any]) -> list[tuple[int, int]]:
    from reconstruction_pipeline.stages.poses import pairs

    rung, count = job["rung"], len(descriptors)
    if not job["ordered"] and count <= rung["exhaustive_up_to"]:
        return sorted(pairs.exhaustive_pairs(count))
    alike = pairs.signatures(descriptors, job["seed"])
    if job["ordered"]:
        chosen = pairs.sequential_pairs(count, rung["overlap"])
        chosen |= pairs.similar_pairs(alike, max(1, rung["similar"] // 4), rung["overlap"] + 1)
    else:
        chosen = pairs.sequential_pairs(count, 2) | pairs.similar_pairs(alike, rung["similar"])
    return sorted(chosen)


def _match(job: dict[str, Any], database: Path, names: list[str], pairs: list[tuple[int, int]]) -> None:
    import pycolmap

    listing = Path(job["work"]) / "pairs.txt"
    listing.write_text("".join(f"{names[i]} {names[j]}\n" for i, j in pairs))
    matching = pycolmap.FeatureMatchingOptions()
    matching.use_gpu = False
    matching.num_threads = job["threads"]
    verification = pycolmap.TwoViewGeometryOptions()
    verification.ransac.random_seed = job["seed"]
    pairing = pycolmap.ImportedPairingOptions()
    pairing.match_list_path = str(listing)
    pycolmap.match_image_pairs(
        database,
        matching_options=matching,
        pairing_options=pairing,
        verification_options=verification,
        device=pycolmap.Device.cpu,
    )


def _verified_pairs(database: Path) -> dict[str, int]:
    """How many pairs share enough inliers to count, how many share plenty, and how many of these show that
    one homography explains them: a plane, or a camera that only turned.
    """
    with contextlib.closing(sqlite3.connect(database)) as connection:
        rows = connection.execute("SELECT rows, config FROM two_view_geometries WHERE rows > 0").fetchall()
    strong = [config for inliers, config in rows if inliers >= STRONG_PAIR]
    return {
        "verified_pairs": len(rows),
        "strong_pairs": len(strong),
        "homography_pairs": sum(config in HOMOGRAPHY_CONFIGS for config in strong),
    }


def _map(job: dict[str, Any], database: Path, channel: Channel) -> list[dict[str, Any]]:
    import pycolmap

    rung, registered = job["rung"], [0]
    options = pycolmap.IncrementalPipelineOptions()
    # One thread: sums in a fixed order, and at this size a second thread hardly helps.
    options.num_threads = 1
    options.random_seed = options.mapper.random_seed = options.triangulation.random_seed = job["seed"]
    options.max_runtime_seconds = int(job["time_limit_s"])
    options.init_num_trials = 60
    options.min_focal_length_ratio, options.max_focal_length_ratio = job["focal_range"]
    options.mapper.init_min_tri_angle = rung["init_min_tri_angle"]
    options.mapper.init_min_num_inliers = rung["init_min_inliers"]
    options.mapper.abs_pose_min_num_inliers = rung["abs_pose_min_inliers"]
    # Short captures need no global adjustment after every few images; one always ends the model.
    options.ba_global_frames_ratio = options.ba_global_points_ratio = 1.4
    options.ba_global_max_refinements = 2
    options.ba_local_max_num_iterations = 10

    def start() -> None:
        registered[0] = 2
        channel.send("registered", count=2)

    def advance() -> None:
        registered[0] += 1
        channel.send("registered", count=registered[0])

    output = Path(job["work"]) / "models"
    output.mkdir(exist_ok=True)
    found = pycolmap.incremental_mapping(
        database, job["images"], output, options=options, initial_image_pair_callback=start, next_image_callback=advance
    )
    models = []
    for index, model in found.items():
        folder = output / f"kept-{index}"
        folder.mkdir(exist_ok=True)
        model.write_binary(folder)
        models.append({"path": str(folder), "registered": model.num_reg_images(), "points": model.num_points3D()})
    return models


def undistort(job: dict[str, Any], channel: Channel) -> dict[str, Any]:
    """Undistorted images and their PINHOLE model, without black borders."""
    import pycolmap

    channel.send("phase", phase="undistorting", total=1)
    options = pycolmap.UndistortCameraOptions()
    options.blank_pixels = 0.0
    options.max_image_size = job["max_size"]
    pycolmap.undistort_images(
        job["output"],
        job["model"],
        job["images"],
        output_type="COLMAP",
        undistort_options=options,
        jpeg_quality=job["jpeg_quality"],
        num_threads=job["threads"],
    )
    written = len(list(Path(job["output"], "images").rglob("*.*")))
    if written != job["expected"]:
        raise RuntimeError(f"{written} of {job['expected']} images were undistorted")
    return {"images": written}


if __name__ == "__main__":
    sys.exit(main())
