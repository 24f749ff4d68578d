"""Poses that came with the capture, on the keyframes: the place of structure from motion is taken by triangulation.

Points are always made anew from the keyframes, also where the project had some: that the pictures agree with the
poses is then measured here, by the same gates as for poses of our own, and not believed.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

from reconstruction_pipeline.artifacts.colmap import Camera, ColmapModel, read_model, write_model
from reconstruction_pipeline.artifacts.errors import StageFailed
from reconstruction_pipeline.artifacts.keyframes import Keyframes
from reconstruction_pipeline.artifacts.projects.source import resized
from reconstruction_pipeline.stages.poses.child import ColmapChild
from reconstruction_pipeline.stages.poses.imports.project import (
    FEATURE_IMAGE_SIZE,
    FEATURES,
    PHASES,
    SMALL_IMAGE,
    WORKER,
)


def given_on_keyframes(keyframes: Keyframes) -> ColmapModel | None:
    """The given poses under the names and at the size of the keyframes; None where none came with the capture.

    Photos that are no keyframes are left out. Raises `StageFailed` when no keyframe has a pose, `InvalidArtifact` when
    a keyframe does not have the shape of its camera.
    """
    given = keyframes.given_poses()
    if given is None:
        return None
    rows = {str(row["photo"]): row for row in keyframes.table().to_dict("records")}
    cameras: dict[int, Camera] = {}
    numbers: dict[tuple[int, int, int], int] = {}
    images = []
    for image in given.images:
        if image.name not in rows:
            continue
        row = rows[image.name]
        size = int(row["width"]), int(row["height"])
        number = numbers.setdefault((image.camera_id, *size), len(numbers) + 1)
        cameras[number] = resized(given.cameras[image.camera_id], *size, "the given poses", image.name)
        images.append(replace(image, name=str(row["name"]), camera_id=number))
    if not images:
        raise StageFailed(
            f"camera_poses: none of the {len(rows)} keyframes has a given pose; set given_poses to ignore."
        )
    return replace(given, cameras=cameras, images=tuple(sorted(images, key=lambda image: image.name)))


def triangulate_given(model: ColmapModel, keyframes: Keyframes, child: ColmapChild, seed: int = 0) -> dict[str, Any]:
    """Points for `model` from the keyframes' pictures, poses and lenses untouched.

    Returns `path` (a binary model with tracks, distorted as given, below `child.work`), `registered` (images that see
    points), `points`, `database` (COLMAP's, by keyframe) and its counts. Raises `StageFailed` as the child does.
    """
    work = child.work / "given"
    (work / "work").mkdir(parents=True)
    write_model(work / "model", model)
    longest = max(max(camera.width, camera.height) for camera in model.cameras.values())
    worker = replace(child, worker=WORKER, phases=PHASES, _phase=("features", 0, 1))
    result = worker.run(
        {
            "task": "triangulate",
            "model": str(work / "model"),
            "pictures": str(keyframes.path("images").resolve()),
            "work": str(work / "work"),
            "output": str(work / "sparse"),
            "features": FEATURES,
            "max_image_size": FEATURE_IMAGE_SIZE,
            "first_octave": -1 if longest < SMALL_IMAGE else 0,
            "seed": seed,
            "threads": os.cpu_count() or 1,
        }
    )
    child.peak_rss_mb = max(child.peak_rss_mb, worker.peak_rss_mb)
    placed = sum(len(image.xy) > 0 for image in read_model(work / "sparse").images)
    return {**result, "path": str(work / "sparse"), "registered": placed, "points": int(result["points"])}
