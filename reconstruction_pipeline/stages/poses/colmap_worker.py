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
import shutil
import signal
import sqlite3
import sys
import threading
import time
from pathlib import Path
from typing import Any, TextIO

from reconstruction_pipeline.stages.poses.features import extract

STRONG_PAIR = 100
# COLMAP's two-view configurations PLANAR, PANORAMIC and PLANAR_OR_PANORAMIC.
HOMOGRAPHY_CONFIGS = (4, 5, 6)
# Pairs that were held out of the mapping and are compared afterwards.
HELD_OUT = 24
# Of the last adjustment: residuals beyond this many pixels count less; iterations until nothing changes (measured).
ROBUST_PX, REFINEMENTS = 0.5, 12


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
    """Features, matches and models of the images in `job["groups"]` (images that share one camera).

    `job["reuse"]` may name the database of an earlier job on the same images, whose features and matches count.
    """
    import pycolmap

    pycolmap.set_random_seed(job["seed"])
    names = sorted(name for group in job["groups"] for name in group["names"])
    database = Path(job["work"]) / "database.db"
    channel.send("phase", phase="features", total=len(names))
    laps = [time.process_time()]
    if job.get("reuse"):
        shutil.copy(job["reuse"], database)
    else:
        extract(job, database)
    with pycolmap.Database.open(database) as opened:
        images = {image.name: image.image_id for image in opened.read_all_images()}
        if set(images) != set(names):
            missing = sorted(set(names) - set(images))
            raise RuntimeError(f"no features were stored for {len(missing)} images, such as {missing[:3]}")
        descriptors = [opened.read_descriptors(images[name]).data for name in names]
    laps.append(time.process_time())
    pairs = [(names[i], names[j]) for i, j in _choose_pairs(job, descriptors)]
    channel.send("phase", phase="matching", total=len(pairs))
    _match(job, database, pairs)
    verified = _verified_pairs(database)
    laps.append(time.process_time())
    channel.send("phase", phase="mapping", total=len(names))
    mapper = {"incremental": _map, "global": _map_globally}[job["rung"]["mapper"]]
    models = mapper(job, database, channel) if verified["verified_pairs"] else []
    laps.append(time.process_time())
    held_out = _compare_held_out(job, database, models)
    laps.append(time.process_time())
    phases = ("features", "matching", "mapping", "checking")
    return {
        "models": models,
        "database": str(database),
        "cpu_s": {name: round(b - a, 2) for name, a, b in zip(phases, laps, laps[1:], strict=False)},
        "features_per_image": sum(len(d) for d in descriptors) / max(len(names), 1),
        "pairs": len(pairs),
        "held_out_pairs": held_out,
        **verified,
    }


def _compare_held_out(job: dict[str, Any], database: Path, models: list[dict[str, Any]]) -> int:
    """Match pairs that the largest model says see the same, and that were never compared; how many."""
    from reconstruction_pipeline.artifacts.colmap import read_model
    from reconstruction_pipeline.stages.poses.matches import read_matches
    from reconstruction_pipeline.stages.poses.overlap import held_out_pairs, predicted_overlaps

    if not models:
        return 0
    model = read_model(Path(max(models, key=lambda m: (m["registered"], m["points"]))["path"]))
    tried = read_matches(database, [image.name for image in model.images]).tried
    pairs = held_out_pairs(predicted_overlaps(model), tried, HELD_OUT)
    if pairs:
        _match(job, database, pairs)
    return len(pairs)


def _choose_pairs(job: dict[str, Any], descriptors: list[Any]) -> list[tuple[int, int]]:
    from reconstruction_pipeline.stages.poses import pairs

    rung, count = job["rung"], len(descriptors)
    if rung["exhaustive"] or (not job["ordered"] and count <= rung["exhaustive_up_to"]):
        return sorted(pairs.exhaustive_pairs(count))
    alike = pairs.signatures(descriptors, job["seed"])
    if job["ordered"]:
        chosen = pairs.sequential_pairs(count, rung["overlap"])
        chosen |= pairs.similar_pairs(alike, max(1, rung["similar"] // 4), rung["overlap"] + 1)
    else:
        chosen = pairs.sequential_pairs(count, 2) | pairs.similar_pairs(alike, rung["similar"])
    return sorted(chosen)


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
    # A global adjustment as the model doubles, and no repeats: the one in `_refine` decides how precise it gets.
    # Measured on four captures: 40 % less time, the same images, points and errors.
    options.ba_global_frames_ratio = options.ba_global_points_ratio = 2.0
    options.ba_global_max_refinements = options.ba_local_max_refinements = 1
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
    return _kept(found, output)


def _map_globally(job: dict[str, Any], database: Path, channel: Channel) -> list[dict[str, Any]]:
    """All images at once from averaged rotations: Pan et al., "Global structure-from-motion revisited", ECCV 2024."""
    import pycolmap

    options = pycolmap.GlobalPipelineOptions()
    options.num_threads = options.mapper.num_threads = 1
    options.random_seed = options.mapper.random_seed = job["seed"]
    output = Path(job["work"]) / "models"
    output.mkdir(exist_ok=True)
    if not any(group["camera_params"] for group in job["groups"]):
        pycolmap.calibrate_view_graph(database)
    return _kept(pycolmap.global_mapping(database, job["images"], output, options=options), output)


def _kept(found: dict[int, Any], output: Path) -> list[dict[str, Any]]:
    models = []
    for index, model in found.items():
        _refine(model)
        folder = output / f"kept-{index}"
        folder.mkdir(exist_ok=True)
        model.write_binary(folder)
        models.append({"path": str(folder), "registered": model.num_reg_images(), "points": model.num_points3D()})
    return models


def _refine(model: Any) -> None:
    """A last adjustment in which large residuals count less.

    The mapper's least squares let every wrong match within four pixels pull; on the sample the robust loss halves
    the error of the path, for a tenth of the mapper's time.
    """
    import pycolmap

    options = pycolmap.BundleAdjustmentOptions()
    options.refine_principal_point = options.print_summary = False
    options.ceres.loss_function_type = pycolmap.LossFunctionType.SOFT_L1
    options.ceres.loss_function_scale = ROBUST_PX
    options.ceres.solver_options.max_num_iterations = REFINEMENTS
    options.ceres.solver_options.num_threads = 1
    pycolmap.bundle_adjustment(model, options)
    model.update_point_3d_errors()


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
