"""COLMAP as its documentation has it, the other side of `benchmarks/poses.py`; runs in a process of its own.

    python benchmarks/plain_colmap.py JOB.json

JOB: `images` (folder), `output` (folder), `ordered` (video or photos), `threads`, `max_size` (of undistorted images).
All options are pycolmap's defaults but for image size and threads. Prints one JSON line last.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any


def main(job: dict[str, Any]) -> dict[str, Any]:
    """Seconds (wall and CPU) of the four calls, and what came out."""
    import pycolmap

    output, images, threads = Path(job["output"]), job["images"], job["threads"]
    database = output / "database.db"
    cpu_s: dict[str, float] = {}
    started = time.perf_counter()

    def lap(name: str, since: float) -> None:
        cpu_s[name] = round(time.process_time() - since, 2)

    since = time.process_time()
    extraction = pycolmap.FeatureExtractionOptions()
    extraction.num_threads = threads
    pycolmap.extract_features(
        database,
        images,
        camera_mode=pycolmap.CameraMode.SINGLE,
        extraction_options=extraction,
        device=pycolmap.Device.cpu,
    )
    lap("features", since)
    since = time.process_time()
    matching = pycolmap.FeatureMatchingOptions()
    matching.num_threads = threads
    match = pycolmap.match_sequential if job["ordered"] else pycolmap.match_exhaustive
    match(database, matching_options=matching, device=pycolmap.Device.cpu)
    lap("matching", since)
    since = time.process_time()
    mapping = pycolmap.IncrementalPipelineOptions()
    mapping.num_threads = threads
    models = pycolmap.incremental_mapping(database, images, output / "models", options=mapping)
    lap("mapping", since)
    if not models:
        return {"registered": 0, "points": 0, "seconds": time.perf_counter() - started, "cpu_s": cpu_s}
    index, model = max(models.items(), key=lambda item: item[1].num_reg_images())
    since = time.process_time()
    options = pycolmap.UndistortCameraOptions()
    options.max_image_size = job["max_size"]
    pycolmap.undistort_images(
        output / "undistorted", output / "models" / str(index), images, undistort_options=options, num_threads=threads
    )
    lap("undistorting", since)
    return {
        "seconds": round(time.perf_counter() - started, 2),
        "cpu_s": cpu_s,
        "registered": model.num_reg_images(),
        "points": model.num_points3D(),
        "error_px": model.compute_mean_reprojection_error(),
        "model": str(output / "undistorted" / "sparse"),
    }


if __name__ == "__main__":
    # What COLMAP prints goes to standard error; the result alone to standard output.
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    answer.write(json.dumps(main(json.loads(Path(sys.argv[1]).read_text()))) + "\n")
    answer.flush()
