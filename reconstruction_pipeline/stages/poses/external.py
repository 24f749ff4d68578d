"""Camera poses from another program: as a rung of the ladder, or in its place; judged like all others.

The program gets a copy of the keyframes and an empty folder, and leaves a COLMAP model there (text or binary). Only
its cameras and poses are used: points are triangulated from the keyframes' own features, so that the pictures, and
not the program, say whether the poses are right.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from reconstruction_pipeline.artifacts.colmap import ColmapModel, read_model
from reconstruction_pipeline.artifacts.colmap_text import read_text_model
from reconstruction_pipeline.artifacts.errors import InvalidArtifact, MissingRequirement, StageFailed
from reconstruction_pipeline.artifacts.keyframes import Keyframes
from reconstruction_pipeline.artifacts.progress import Progress
from reconstruction_pipeline.artifacts.projects.colmap_project import find_models
from reconstruction_pipeline.external.failures import keep_log
from reconstruction_pipeline.external.jobs import require_here
from reconstruction_pipeline.external.run import LOG, run_external
from reconstruction_pipeline.external.stage import ExternalStage
from reconstruction_pipeline.stages.poses.candidates import MIN_IMAGES, Candidate, Climb
from reconstruction_pipeline.stages.poses.child import ColmapChild
from reconstruction_pipeline.stages.poses.from_given import take_given
from reconstruction_pipeline.stages.poses.settings import PoseSettings

NAME = "external stage"
SHARE = 0.65
"""Of the stage's progress, before points are triangulated."""


def check_external(settings: PoseSettings) -> None:
    """Raise `MissingRequirement` before any work where the program is not on this machine."""
    if settings.external is not None:
        require_here(settings.external)


def only_external(keyframes: Keyframes, settings: PoseSettings, child: ColmapChild, scratch: Path) -> Climb:
    """What the chosen program found, in the place of a climb; raises `StageFailed` when that is nothing."""
    assert settings.external
    best, record, climb = _take(keyframes, settings, settings.external, child, scratch / "external", 0)
    return Climb(best, [record], climb.focal_range)


def take_external(
    keyframes: Keyframes, settings: PoseSettings, child: ColmapChild, work: Path, level: int
) -> tuple[Candidate | None, dict[str, Any]]:
    """What the program found, and the record of the attempt; with `failed`, a sentence, in place of a candidate.

    Shares the time limit of `child`; what the program prints is kept in `external.log` beside COLMAP's log. Raises
    what the progress raises.
    """
    assert settings.external
    try:
        best, record, _ = _take(keyframes, settings, settings.external, child, work, level)
    except (StageFailed, InvalidArtifact, MissingRequirement) as error:
        return None, {"name": NAME, "failed": str(error)}
    return best, record


def _take(
    keyframes: Keyframes, settings: PoseSettings, external: ExternalStage, child: ColmapChild, work: Path, level: int
) -> tuple[Candidate, dict[str, Any], Climb]:
    inputs, images = {}, work / "input" / "images"
    shutil.copytree(keyframes.path("images").resolve(), images)
    if "images" in external.program.reads:
        inputs["images"] = images
    if "masks" in external.program.reads:
        inputs["masks"] = work / "input" / "masks"
        masks = keyframes.mask_folder()
        if masks:
            shutil.copytree(Path(masks).resolve(), inputs["masks"])
        inputs["masks"].mkdir(exist_ok=True)
    log, progress = child.log.with_name(LOG), _Part(child.progress)
    outcome = run_external(external, inputs, {}, work, log, progress, child.deadline)
    child.peak_rss_mb = max(child.peak_rss_mb, outcome.peak_rss_mb or 0.0)
    try:
        poses = _found(outcome.results["colmap"], keyframes, external.who)
        climb = take_given(poses, keyframes, settings, child)
    except (StageFailed, InvalidArtifact):
        keep_log(external, log)
        raise
    best = replace(climb.best, level=level, rung=NAME, mapper=external.program.backend)
    return best, {**climb.attempts[0], "name": NAME, "why": "chosen", "external": outcome.metrics(external)}, climb


@dataclass(frozen=True)
class _Part:
    """The stage's progress while the program is at work."""

    progress: Progress

    def report(self, stage: str, done: float, total: float, note: str = "") -> None:
        self.progress.report(stage, SHARE * done / total, 1.0, note)


def _found(output: Path, keyframes: Keyframes, program: str) -> ColmapModel:
    """The largest model in the folder; raises `StageFailed` when it has no keyframe in it."""
    models = [_read(folder) for folder in find_models(output)]
    model = max(models, key=lambda m: (len(m.images), len(m.xyz)), default=None)
    if model is None:
        raise StageFailed(f"camera_poses: {program} ended well but left no COLMAP model in its output folder.")
    sizes = {str(row["name"]): (int(row["width"]), int(row["height"])) for row in keyframes.table().to_dict("records")}
    known = [image for image in model.images if image.name in sizes]
    if len(known) < MIN_IMAGES:
        raise StageFailed(
            f"camera_poses: {program} placed {len(known)} of {len(sizes)} keyframes; at least {MIN_IMAGES} are needed,"
            " under the names of the pictures it was given."
        )
    for image in known:
        camera = model.cameras[image.camera_id]
        if (camera.width, camera.height) != sizes[image.name]:
            raise StageFailed(
                f"camera_poses: {program} has a camera of {camera.width}x{camera.height} pixels for {image.name}, which"
                f" has {sizes[image.name][0]}x{sizes[image.name][1]}."
            )
    used = {image.camera_id for image in known}
    return replace(
        model, images=tuple(known), cameras={key: camera for key, camera in model.cameras.items() if key in used}
    )


def _read(folder: Path) -> ColmapModel:
    binary = (folder / "cameras.bin").is_file() and (folder / "images.bin").is_file()
    return read_model(folder, need_points=False) if binary else read_text_model(folder)
