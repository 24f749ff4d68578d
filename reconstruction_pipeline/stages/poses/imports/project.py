"""The one entry to poses from elsewhere: whatever the project is, an undistorted PINHOLE model and its pictures."""

from __future__ import annotations

import json
import os
import shutil
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from reconstruction_pipeline.artifacts.colmap import ColmapModel, read_model, write_model
from reconstruction_pipeline.artifacts.errors import InvalidArtifact, StageFailed
from reconstruction_pipeline.artifacts.progress import NullProgress, Progress
from reconstruction_pipeline.artifacts.projects import Source, read_source
from reconstruction_pipeline.stages.poses.child import ColmapChild
from reconstruction_pipeline.stages.poses.imports.cache import cached, content_key

WORKER = "reconstruction_pipeline.stages.poses.imports.worker"
STAGE = "project"
# (where the phase begins, how long it is) on a scale of 0 to 1, and the rows that count its finished units.
PHASES = {
    "features": (0.0, 0.5, "descriptors"),
    "matching": (0.5, 0.4, "two_view_geometries"),
    "triangulating": (0.9, 0.1, ""),
    "undistorting": (0.0, 1.0, ""),
}
MIN_POINTS = 1000
TIME_LIMIT_S = 3600.0
JPEG_QUALITY = 96
FEATURES, FEATURE_IMAGE_SIZE, SMALL_IMAGE = 4096, 1600, 800
# The share of the widest picture that is left without distortion; said below this.
KEPT, WORTH_SAYING = "kept.json", 0.8


@dataclass(frozen=True)
class Project:
    """An undistorted posed project: PINHOLE `model`, its pictures, and what was done to get them.

    `masks` maps image names to masks of the same size as the picture (0: ignore). `notes` are sentences.
    """

    model: ColmapModel
    pictures: Path
    masks: dict[str, Path] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def picture(self, name: str) -> Path:
        """The picture of an image."""
        return self.pictures / name

    def mask(self, name: str) -> Path | None:
        """The mask of an image, if it has one."""
        return self.masks.get(name)


def open_project(
    path: Path, workspace: Path, progress: Progress | None = None, need_points: bool = True, need_tracks: bool = False
) -> Project:
    """A COLMAP project (text or binary, anywhere in the folder), or `transforms.json` (the file or its folder).

    Distorted pictures are undistorted, and missing points triangulated from the given poses (with `need_points`; with
    `need_tracks` also points that no image is tied to). What is made is kept in `workspace` under a name that follows
    from the content, and found there the next time. The world stays the project's own; a folder that has both
    kinds of poses is read as a COLMAP project.
    Raises `UsageError` for what is no project, `InvalidArtifact` for a damaged or incomplete one (pictures missing),
    `StageFailed` when COLMAP's process fails or fewer than 1000 points come out.
    """
    path = path.absolute()
    source = read_source(path)
    work = _Work(workspace.absolute(), content_key(path, source), progress or NullProgress())
    if any(_distorted(source.model, number) for number in source.model.cameras):
        source = work.undistorted(source)
    source = replace(source, model=_as_pinhole(source.model))
    if need_points and _lacks_points(source, need_tracks):
        source = work.triangulated(source, path)
    return Project(source.model, source.pictures, source.masks, source.notes)


def _distorted(model: ColmapModel, number: int) -> bool:
    try:
        model.cameras[number].pinhole()
    except InvalidArtifact:
        return True
    return False


def _as_pinhole(model: ColmapModel) -> ColmapModel:
    cameras = {n: replace(c, model="PINHOLE", params=c.pinhole()) for n, c in model.cameras.items()}
    return replace(model, cameras=cameras)


def _lacks_points(source: Source, need_tracks: bool) -> bool:
    return len(source.model.xyz) < MIN_POINTS or (need_tracks and not source.has_tracks)


@dataclass(frozen=True)
class _Work:
    """COLMAP's part, each result kept in the workspace."""

    workspace: Path
    key: str
    progress: Progress

    def undistorted(self, source: Source) -> Source:
        lenses = sorted({c.model for c in source.model.cameras.values() if c.model != "PINHOLE"})

        def make(folder: Path) -> None:
            write_model(folder / "distorted", source.model)
            job = {
                "task": "undistort",
                "model": str(folder / "distorted"),
                "pictures": str(source.pictures),
                "masks": {name: str(path) for name, path in source.masks.items()},
                "output": str(folder),
                "jpeg_quality": JPEG_QUALITY,
            }
            result = self._run(folder, job, "undistorting")
            if result["images"] != len(source.model.images):
                raise StageFailed(f"{STAGE}: only {result['images']} of {len(source.model.images)} were undistorted.")
            (folder / KEPT).write_text(json.dumps(result["least_kept"]))

        folder = cached(self.workspace, f"{self.key}-undistorted", make)
        masks = {name: folder / "masks" / f"{name}.png" for name in source.masks}
        kept = float(json.loads((folder / KEPT).read_text()))
        lost = f", which cost {100 * (1 - kept):.0f} % of the widest" if kept < WORTH_SAYING else ""
        note = f"The lens distortion ({', '.join(lenses)}) was removed from the pictures{lost}."
        return Source(read_model(folder / "sparse" / "0"), folder / "images", masks, (*source.notes, note))

    def triangulated(self, source: Source, project: Path) -> Source:
        longest = max(max(c.width, c.height) for c in source.model.cameras.values())

        def make(folder: Path) -> None:
            write_model(folder / "given", source.model)
            job = {
                "task": "triangulate",
                "model": str(folder / "given"),
                "pictures": str(source.pictures),
                "work": str(folder / "work"),
                "output": str(folder / "sparse" / "0"),
                "features": FEATURES,
                "max_image_size": FEATURE_IMAGE_SIZE,
                # Small pictures show enough features only when doubled.
                "first_octave": -1 if longest < SMALL_IMAGE else 0,
                "seed": 0,
            }
            points = self._run(folder, job, "features")["points"]
            if points < MIN_POINTS:
                raise StageFailed(
                    f"{project}: only {points} points could be triangulated from the given poses (at least"
                    f" {MIN_POINTS} are needed); check that the poses belong to these pictures, or bring points too."
                )

        model = read_model(cached(self.workspace, f"{self.key}-points", make) / "sparse" / "0")
        had = len(source.model.xyz)
        why = f"There were only {had} points" if had < MIN_POINTS else "The points were tied to no image"
        note = f"{why if had else 'There were no points'}: {len(model.xyz)} were triangulated from the given poses."
        return replace(source, model=model, notes=(*source.notes, note))

    def _run(self, folder: Path, job: dict[str, Any], first_phase: str) -> dict[str, Any]:
        (folder / "work").mkdir(exist_ok=True)
        child = ColmapChild(
            folder / "work",
            folder / "colmap.log",
            self.progress,
            time.monotonic() + TIME_LIMIT_S,
            worker=WORKER,
            stage=STAGE,
            phases=PHASES,
            _phase=(first_phase, 0, 1),
        )
        result = child.run({**job, "threads": os.cpu_count() or 1})
        for done_with in (folder / "work", Path(job["model"])):
            shutil.rmtree(done_with)
        return result
