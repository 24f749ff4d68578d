"""Up the ladder until the poses are good enough, and the best of what was found."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from reconstruction_pipeline.artifacts.errors import StageFailed
from reconstruction_pipeline.artifacts.keyframes import Keyframes
from reconstruction_pipeline.stages.poses.cameras import camera_groups, focal_range
from reconstruction_pipeline.stages.poses.candidates import Candidate, Climb, best_of
from reconstruction_pipeline.stages.poses.child import ColmapChild
from reconstruction_pipeline.stages.poses.circle import ADVICE
from reconstruction_pipeline.stages.poses.external import take_external
from reconstruction_pipeline.stages.poses.first_try import FirstTry, choose
from reconstruction_pipeline.stages.poses.frame_statistics import look_at
from reconstruction_pipeline.stages.poses.gates import MOVE
from reconstruction_pipeline.stages.poses.places import Places
from reconstruction_pipeline.stages.poses.rigs import CAMERA_MODEL, described
from reconstruction_pipeline.stages.poses.rungs import TURNTABLE, Rung, can_help, ladder, turntable_rung, why_next
from reconstruction_pipeline.stages.poses.settings import PoseSettings


def climb(keyframes: Keyframes, settings: PoseSettings, child: ColmapChild, scratch: Path) -> Climb:
    """Try the rungs of the ladder until `settings.retry_below` of the images are placed without contradiction.

    Rungs that cannot cure what is wrong are left out; of all models the best by evidence is kept, not the last. The
    external stage, where one is configured, comes after COLMAP's own rungs, and the turntable, where the user said that
    there is one, after that.
    Raises `StageFailed` when there is none, and what `ColmapChild.run` raises.
    """
    rig = keyframes.rig()
    if rig is not None:
        settings = replace(settings, camera_model=CAMERA_MODEL)
    groups = camera_groups(keyframes, settings)
    ordered = bool(keyframes.camera()["ordered"])
    count = sum(len(group["names"]) for group in groups)
    attempts: list[dict[str, Any]] = []
    candidates: list[Candidate] = []
    first = first_try(keyframes, settings)
    why, rungs, features = "first choice", ladder(settings, ordered, first), None

    def good_enough() -> bool:
        last = candidates[-1] if candidates else None
        return bool(last and not last.evidence.folded and len(last.model.images) >= settings.retry_below * count)

    def attempt(level: int, rung: Rung) -> dict[str, Any]:
        nonlocal why, features
        reuse = features if rung.same_features else None
        job = map_job(keyframes, settings, groups, rung, scratch / f"rung-{level}", reuse)
        result = child.run(job)
        attempts.append({k: v for k, v in result.items() if k not in ("event", "peak_rss_mb")})
        attempts[-1] |= {"name": rung.name, "why": why, "looked_at": _looked_at(rung)}
        attempts[-1] |= {"chosen": list(first.why)} if not level else {}
        features = result["database"]
        best = best_of(result, count, level, rung.name, rung.mapper)
        if best:
            candidates.append(best)
            attempts[-1] |= _found(best)
        why = why_next(result, len(best.model.images) if best else 0, count, best is not None and best.evidence.folded)
        return result

    stuck = False
    for level, rung in enumerate(rungs):
        if not attempts or can_help(rung, count, attempts[-1]):
            result = attempt(level, rung)
            # A thing on a turntable is nearly a plane from one picture to the next.
            stuck = only_turned(result) and not settings.turntable
            if stuck or good_enough():
                break
    failure = ""
    if settings.external and not good_enough() and not stuck:
        best, record = take_external(keyframes, settings, child, scratch / "external", len(rungs))
        failure = record.get("failed", "")
        # Its record has no COLMAP figures when it failed, and says nothing of why there is no model otherwise.
        attempts.append({**record, "why": why, **(_found(best) if best else {})})
        candidates += [best] if best else []
    if settings.turntable and not good_enough():
        attempt(len(rungs) + 1, turntable_rung(settings, ordered))
    if not candidates:
        tried = [each for each in attempts if not each.get("failed")]
        raise StageFailed(" ".join(filter(None, (why_no_model(tried[-1], count), failure))))
    return Climb(max(candidates, key=Candidate.rank), attempts, focal_range(groups))


def first_try(keyframes: Keyframes, settings: PoseSettings) -> FirstTry:
    """What the first rung does, chosen from the frames.

    Not from those of a rig, whose neighbours in name are views of one moment, nor on a turntable, where the background
    stands still and says nothing of the thing.
    """
    looked = keyframes.rig() is None and not settings.turntable
    return choose(look_at(keyframes) if looked else None, settings, bool(keyframes.camera()["ordered"]))


def _looked_at(rung: Rung) -> dict[str, Any]:
    return {
        "features": rung.features,
        "scale": rung.scale if rung.extractor == "fast" else 1.0,
        "overlap": rung.overlap,
    }


def map_job(
    keyframes: Keyframes,
    settings: PoseSettings,
    groups: list[dict[str, Any]],
    rung: Rung,
    work: Path,
    reuse: str | None,
) -> dict[str, Any]:
    """What the worker is told of one rung, in the new folder `work`; `reuse`: the database of an earlier job."""
    work.mkdir()
    return {
        "task": "map",
        "work": str(work),
        "images": str(keyframes.path("images").resolve()),
        "masks": keyframes.mask_folder(),
        "groups": groups,
        "ordered": bool(keyframes.camera()["ordered"]),
        "camera_model": settings.camera_model,
        "threads": settings.thread_count(),
        "seed": settings.seed,
        "focal_range": focal_range(groups),
        "reuse": reuse,
        "rung": asdict(rung),
        "rig": described(keyframes.rig()),
        "turntable": settings.turntable,
        "times_s": dict(Places.of(keyframes).times_s),
    }


def _found(best: Candidate) -> dict[str, Any]:
    return {"registered": len(best.model.images), "points": len(best.model.xyz), "folded": best.evidence.folded}


def only_turned(result: dict[str, Any]) -> bool:
    """Whether an attempt had plenty of matches, nearly all explained by turning (or a plane): more features
    would find more of the same.
    """
    strong = result["strong_pairs"]
    return bool(strong >= 0.5 * result["pairs"] and result["homography_pairs"] >= 0.95 * strong)


def why_no_model(attempt: dict[str, Any], count: int) -> str:
    """One sentence for captures without any model; another on the turntable, where it was tried."""
    if attempt["name"] == TURNTABLE:
        return (
            f"camera_poses: no camera path could be found for the {count} images, and as a turntable they do not fit"
            f" either: {(attempt.get('circle') or {}).get('refused', 'nothing came of it')}. {ADVICE}"
        )
    if only_turned(attempt):
        return (
            f"camera_poses: the {count} images match well ({attempt['strong_pairs']} of {attempt['pairs']} pairs share"
            f" many points), but the camera shows no parallax. {MOVE}"
        )
    return (
        f"camera_poses: no camera path could be found for the {count} images ({attempt['verified_pairs']} of"
        f" {attempt['pairs']} image pairs share enough points). {MOVE}"
    )
