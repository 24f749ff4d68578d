"""Camera poses from another program, as a rung of the ladder: its poses are taken, and judged like all others.

The program gets a copy of the keyframes and an empty folder, and leaves a COLMAP model there (text or binary). Only
its cameras and poses are used: points are triangulated from the keyframes' own features, so that the pictures, and
not the program, say whether the poses are right.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from reconstruction_pipeline.artifacts.colmap import ColmapModel, read_model
from reconstruction_pipeline.artifacts.colmap_text import read_text_model
from reconstruction_pipeline.artifacts.errors import InvalidArtifact, MissingRequirement, StageFailed, UsageError
from reconstruction_pipeline.artifacts.keyframes import Keyframes
from reconstruction_pipeline.artifacts.projects.colmap_project import find_models
from reconstruction_pipeline.stages.poses.candidates import MIN_IMAGES, Candidate
from reconstruction_pipeline.stages.poses.child import ColmapChild
from reconstruction_pipeline.stages.poses.from_given import take_given
from reconstruction_pipeline.stages.poses.settings import PoseSettings

NAME = "external stage"
WORKER = "reconstruction_pipeline.stages.poses.external_worker"
PHASES = {"external": (0.65, 0.3, "")}
LOG = "external.log"
IMAGES, OUTPUT = "{images}", "{output}"


def check_external(settings: PoseSettings) -> None:
    """Raise before any work: `UsageError` for a command without its places, `MissingRequirement` for no program."""
    command = settings.external_command
    if not command:
        return
    if not all(any(place in word for word in command) for place in (IMAGES, OUTPUT)):
        raise UsageError(
            f"camera_poses: the external command '{' '.join(command)}' must say where {IMAGES} and {OUTPUT} go."
        )
    if shutil.which(command[0]) is None:
        raise MissingRequirement(
            f"camera_poses: the program '{command[0]}' of the external stage is not on this machine; install it, or"
            " clear external_command."
        )


def external_name(settings: PoseSettings) -> str:
    """What the metrics call the program."""
    return settings.external_name or Path(settings.external_command[0]).name


def take_external(
    keyframes: Keyframes, settings: PoseSettings, child: ColmapChild, work: Path, level: int
) -> tuple[Candidate | None, dict[str, Any]]:
    """What the program found, and the record of the attempt; with `failed`, a sentence, in place of a candidate.

    Shares the time limit of `child`; what the program prints is kept in `external.log` beside COLMAP's log. Raises
    what the progress raises.
    """
    images, output = work / "images", work / "output"
    shutil.copytree(keyframes.path("images").resolve(), images)
    output.mkdir()
    places = {IMAGES: str(images), OUTPUT: str(output)}
    command = [_filled(word, places) for word in settings.external_command]
    program = f"the external stage '{external_name(settings)}'"
    runner = replace(
        child,
        work=work,
        log=child.log.with_name(LOG),
        worker=WORKER,
        phases=PHASES,
        program=program,
        own_group=True,
        _phase=("external", 0, 1),
    )
    record: dict[str, Any] = {"name": NAME}
    try:
        runner.run({"task": "external", "command": command, "cwd": str(work)})
        poses = _found(output, keyframes, program)
        climb = take_given(poses, keyframes, settings, child)
    except (StageFailed, InvalidArtifact) as error:
        return None, {**record, "failed": str(error)}
    finally:
        child.peak_rss_mb = max(child.peak_rss_mb, runner.peak_rss_mb)
    best = replace(climb.best, level=level, rung=NAME, mapper=f"external-{external_name(settings)}")
    return best, {**climb.attempts[0], **record}


def _filled(word: str, places: dict[str, str]) -> str:
    for place, value in places.items():
        word = word.replace(place, value)
    return word


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
