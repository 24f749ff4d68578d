"""COLMAP's side of the poses stage: a child process that may die without taking anything with it.

    python -m reconstruction_pipeline.stages.poses.colmap_worker JOB.json

pycolmap can abort the interpreter from its worker threads and only logs many failures, so nothing
else imports it. Messages to the parent are JSON lines on the original standard output; everything
COLMAP prints goes to standard error, which the parent keeps as the log. The parent's end of standard
input closing means that the parent is gone, and so is the reason to go on.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from reconstruction_pipeline.stages.poses.channel import Channel
from reconstruction_pipeline.stages.poses.features import extract
from reconstruction_pipeline.stages.poses.holding import hold_focal
from reconstruction_pipeline.stages.poses.mapping import keep, map_globally, map_incrementally, models_folder, refine
from reconstruction_pipeline.stages.poses.matching import (
    choose_pairs,
    guide_weak_pairs,
    match_held_out,
    match_pairs,
    verified_pairs,
)
from reconstruction_pipeline.stages.poses.rigs import choose_rig_pairs, write_rig
from reconstruction_pipeline.stages.poses.still import drop_still_features
from reconstruction_pipeline.stages.poses.turntable import map_on_turntable


def main() -> int:
    """Run the job named on the command line; the exit status is 0 when a result was sent."""
    channel = Channel()
    # Ctrl-C is the parent's to answer; it stops this process in order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    job = json.loads(Path(sys.argv[1]).read_text())
    try:
        result = {"map": map_images, "hold_focal": hold_focal, "undistort": undistort}[job["task"]](job, channel)
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
    still = None
    if job.get("reuse"):
        shutil.copy(job["reuse"], database)
    else:
        extract(job, database)
        if job.get("rig"):
            write_rig(job["rig"], database)
        still = drop_still_features(job, database) if job.get("turntable") else None
    with pycolmap.Database.open(database) as opened:
        images = {image.name: image.image_id for image in opened.read_all_images()}
        if set(images) != set(names):
            missing = sorted(set(names) - set(images))
            raise RuntimeError(f"no features were stored for {len(missing)} images, such as {missing[:3]}")
        descriptors = [opened.read_descriptors(images[name]).data for name in names]
    laps.append(time.process_time())
    choose = choose_rig_pairs if job.get("rig") else choose_pairs
    pairs = [(names[i], names[j]) for i, j in choose(job, descriptors)]
    channel.send("phase", phase="matching", total=len(pairs))
    match_pairs(job, database, pairs)
    guided = guide_weak_pairs(job, database) if job["rung"]["guided"] else 0
    verified = verified_pairs(database)
    laps.append(time.process_time())
    channel.send("phase", phase="mapping", total=len(names))
    models, joins, circle = _map(job, database, channel, verified["verified_pairs"])
    laps.append(time.process_time())
    held_out = match_held_out(job, database, models)
    laps.append(time.process_time())
    phases = ("features", "matching", "mapping", "checking")
    return {
        "models": models,
        "joins": joins,
        "database": str(database),
        "cpu_s": {name: round(b - a, 2) for name, a, b in zip(phases, laps, laps[1:], strict=False)},
        "features_per_image": sum(len(d) for d in descriptors) / max(len(names), 1),
        "pairs": len(pairs),
        "guided_pairs": guided,
        "held_out_pairs": held_out,
        "still_features": still,
        "circle": circle,
        **verified,
    }


def _map(
    job: dict[str, Any], database: Path, channel: Channel, verified: int
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], dict[str, Any] | None]:
    """The parts that the mapper left, those that could be joined as wholes beside them, and what was tried; what is
    known of the circle, on a turntable.
    """
    from reconstruction_pipeline.stages.poses.joining import join_parts

    parts: list[Any] = []
    circle = None
    if job["rung"]["mapper"] == "turntable":
        # Pairs with too few matches to be verified by themselves may agree with all others.
        parts, circle = map_on_turntable(job, database, channel)
    elif verified:
        mapper = {"incremental": map_incrementally, "global": map_globally}[job["rung"]["mapper"]]
        parts = mapper(job, database, channel)
    for part in parts:
        refine(part, stiff=bool(job.get("rig")))
    models = [keep(part, models_folder(job) / f"kept-{index}") for index, part in enumerate(parts)]
    # Two parts of a rig's way would have to be joined by moments, not by images.
    joined, joins = join_parts(job, database, parts) if not job.get("rig") else ([], [])
    return models + joined, joins, circle


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
