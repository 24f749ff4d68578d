"""Models worth considering, and which of them is the best by evidence."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reconstruction_pipeline.artifacts.colmap import ColmapModel, read_model
from reconstruction_pipeline.artifacts.verdict import Verdict
from reconstruction_pipeline.stages.poses.folds import FoldEvidence, find_folds
from reconstruction_pipeline.stages.poses.gates import measure, pose_gates
from reconstruction_pipeline.stages.poses.matches import read_matches
from reconstruction_pipeline.stages.poses.overlap import predicted_overlaps

# A model smaller than this is an accident of matching, not a reconstruction.
MIN_IMAGES, MIN_POINTS = 3, 20
# Of the sub-models of one attempt, the largest that are looked at closely.
LOOKED_AT = 3


@dataclass(frozen=True)
class Candidate:
    """A model worth considering: `folder` (COLMAP's binary files), what contradicts it, and where it came from.

    `sound`: whether it passes the blocking gates on numbers, points, tracks and errors.
    """

    folder: Path
    model: ColmapModel
    evidence: FoldEvidence
    level: int
    rung: str
    mapper: str
    sound: bool

    @property
    def backend(self) -> str:
        """Who made it, as a metric."""
        return self.mapper if self.mapper.startswith("external") else f"colmap-{self.mapper}"

    def rank(self) -> tuple[bool, bool, int, int, float]:
        """Right before usable before large: unfolded, sound, then images, points, and a small error."""
        model = self.model
        error = float(model.errors.mean()) if len(model.errors) else float("inf")
        images = len(model.images) - len(self.evidence.strays)
        return not self.evidence.folded, self.sound, images, len(model.xyz), -error


@dataclass(frozen=True)
class Climb:
    """`attempts`: what the worker reported of each rung tried, with its `name` and `why` it was taken."""

    best: Candidate
    attempts: list[dict[str, Any]]
    focal_range: tuple[float, float]

    def attempt(self) -> dict[str, Any]:
        """The attempt that the best model came from."""
        return next(a for a in self.attempts if a["name"] == self.best.rung)

    def failure(self) -> str:
        """Why a rung that was tried broke down, "" where none did."""
        return next((str(a["failed"]) for a in self.attempts if a.get("failed")), "")


def weigh(folder: Path, database: Path, images: int, level: int, rung: str, mapper: str) -> Candidate:
    """The model of `images` keyframes in `folder`, against the matches in `database`.

    Raises `StageFailed` when these cannot be read.
    """
    model = read_model(folder)
    graph = read_matches(database, [image.name for image in model.images])
    evidence = find_folds(model, graph, predicted_overlaps(model))
    sound = Verdict.of(pose_gates(measure(model, images, 1.0), [], [], level, rung)).ok
    return Candidate(folder, model, evidence, level, rung, mapper, sound)


def best_of(result: dict[str, Any], images: int, level: int, rung: str, mapper: str) -> Candidate | None:
    """The best of an attempt's sub-models, joined ones among them; None when all are accidents."""
    whole = [m for m in result["models"] if m["registered"] >= MIN_IMAGES and m["points"] >= MIN_POINTS]
    whole.sort(key=lambda m: (-m["registered"], -m["points"]))
    weighed: list[Candidate] = []
    for model in whole[:LOOKED_AT]:
        weighed.append(weigh(Path(model["path"]), Path(result["database"]), images, level, rung, mapper))
        # Those that follow are smaller.
        if weighed[-1].sound and not weighed[-1].evidence.folded:
            break
    return max(weighed, key=Candidate.rank, default=None)


def left_behind(best: Candidate, attempt: dict[str, Any]) -> list[list[str]]:
    """Names of the images that the attempt placed in other parts than `best`, by part, the largest first."""
    placed = {image.name for image in best.model.images}
    parts: list[list[str]] = []
    for model in sorted(attempt.get("models", ()), key=lambda m: (-m["registered"], -m["points"])):
        if model["registered"] < MIN_IMAGES or Path(model["path"]) == best.folder:
            continue
        names = [i.name for i in read_model(Path(model["path"])).images if i.name not in placed]
        if len(names) >= MIN_IMAGES:
            parts.append(names)
            placed.update(names)
    return parts
