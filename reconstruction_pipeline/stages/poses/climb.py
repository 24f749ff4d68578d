"""Up the ladder until the poses are good enough, and the best of what was found."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from reconstruction_pipeline.artifacts.colmap import ColmapModel, read_model
from reconstruction_pipeline.artifacts.errors import StageFailed
from reconstruction_pipeline.artifacts.keyframes import Keyframes
from reconstruction_pipeline.stages.poses.cameras import camera_groups, focal_range
from reconstruction_pipeline.stages.poses.child import ColmapChild
from reconstruction_pipeline.stages.poses.folds import FoldEvidence, find_folds
from reconstruction_pipeline.stages.poses.gates import MOVE
from reconstruction_pipeline.stages.poses.matches import read_matches
from reconstruction_pipeline.stages.poses.overlap import predicted_overlaps
from reconstruction_pipeline.stages.poses.rungs import can_help, ladder, why_next
from reconstruction_pipeline.stages.poses.settings import PoseSettings

# A model smaller than this is an accident of matching, not a reconstruction.
MIN_IMAGES, MIN_POINTS = 3, 20


@dataclass(frozen=True)
class Candidate:
    """A model worth considering: `folder` (COLMAP's binary files), what contradicts it, and where it came from."""

    folder: Path
    model: ColmapModel
    evidence: FoldEvidence
    level: int
    rung: str
    mapper: str

    def rank(self) -> tuple[bool, int, int]:
        """Right before large: an unfolded model, then images, then points."""
        return not self.evidence.folded, len(self.model.images) - len(self.evidence.strays), len(self.model.xyz)


@dataclass(frozen=True)
class Climb:
    """`attempts`: what the worker reported of each rung tried, with its `name` and `why` it was taken."""

    best: Candidate
    attempts: list[dict[str, Any]]
    focal_range: tuple[float, float]

    def attempt(self) -> dict[str, Any]:
        """The attempt that the best model came from."""
        return next(a for a in self.attempts if a["name"] == self.best.rung)


def climb(keyframes: Keyframes, settings: PoseSettings, child: ColmapChild, scratch: Path) -> Climb:
    """Try the rungs of the ladder until `settings.retry_below` of the images are placed without contradiction.

    Rungs that cannot cure what is wrong are left out; of all models the best by evidence is kept, not the last.
    Raises `StageFailed` when there is none, and what `ColmapChild.run` raises.
    """
    groups = camera_groups(keyframes, settings)
    ordered = bool(keyframes.camera()["ordered"])
    count = sum(len(group["names"]) for group in groups)
    attempts: list[dict[str, Any]] = []
    candidates: list[Candidate] = []
    why = "first choice"
    for level, rung in enumerate(ladder(settings, ordered)):
        if attempts and not can_help(rung, count, attempts[-1]):
            continue
        work = scratch / f"rung-{level}"
        work.mkdir()
        result = child.run(
            {
                "task": "map",
                "work": str(work),
                "images": str(keyframes.path("images").resolve()),
                "masks": keyframes.mask_folder(),
                "groups": groups,
                "ordered": ordered,
                "camera_model": settings.camera_model,
                "threads": settings.threads or os.cpu_count() or 1,
                "seed": settings.seed,
                "time_limit_s": settings.time_limit_s,
                "focal_range": focal_range(groups),
                "reuse": attempts[-1]["database"] if rung.same_features and attempts else None,
                "rung": asdict(rung),
            }
        )
        attempts.append({k: v for k, v in result.items() if k not in ("event", "peak_rss_mb")})
        attempts[-1] |= {"name": rung.name, "why": why}
        best = _largest(result)
        if best:
            model = read_model(best)
            graph = read_matches(Path(result["database"]), [image.name for image in model.images])
            evidence = find_folds(model, graph, predicted_overlaps(model))
            candidates.append(Candidate(best, model, evidence, level, rung.name, rung.mapper))
            attempts[-1] |= {
                "registered": len(model.images),
                "points": len(model.xyz),
                "folded": evidence.folded,
            }
            if not evidence.folded and len(model.images) >= settings.retry_below * count:
                break
        if only_turned(result):
            break
        folded = bool(best) and candidates[-1].evidence.folded
        why = why_next(result, len(candidates[-1].model.images) if best else 0, count, folded)
    if not candidates:
        raise StageFailed(why_no_model(attempts[-1], count))
    return Climb(max(candidates, key=Candidate.rank), attempts, focal_range(groups))


def _largest(result: dict[str, Any]) -> Path | None:
    sound = [m for m in result["models"] if m["registered"] >= MIN_IMAGES and m["points"] >= MIN_POINTS]
    best = max(sound, key=lambda m: (m["registered"], m["points"]), default=None)
    return Path(best["path"]) if best else None


def only_turned(result: dict[str, Any]) -> bool:
    """Whether an attempt had plenty of matches, nearly all explained by turning (or a plane): more features
    would find more of the same.
    """
    strong = result["strong_pairs"]
    return bool(strong >= 0.5 * result["pairs"] and result["homography_pairs"] >= 0.95 * strong)


def why_no_model(attempt: dict[str, Any], count: int) -> str:
    """One sentence for captures without any model."""
    if only_turned(attempt):
        return (
            f"camera_poses: the {count} images match well ({attempt['strong_pairs']} of {attempt['pairs']} pairs share"
            f" many points), but the camera shows no parallax. {MOVE}"
        )
    return (
        f"camera_poses: no camera path could be found for the {count} images ({attempt['verified_pairs']} of"
        f" {attempt['pairs']} image pairs share enough points). {MOVE}"
    )
