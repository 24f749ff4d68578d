"""Poses that came with the capture, in the place of a climb: the same evidence and gates judge them."""

from __future__ import annotations

from pathlib import Path

from reconstruction_pipeline.artifacts.colmap import ColmapModel
from reconstruction_pipeline.artifacts.errors import StageFailed
from reconstruction_pipeline.artifacts.keyframes import Keyframes
from reconstruction_pipeline.stages.poses.candidates import MIN_POINTS, Climb, weigh
from reconstruction_pipeline.stages.poses.child import ColmapChild
from reconstruction_pipeline.stages.poses.imports.given import triangulate_given
from reconstruction_pipeline.stages.poses.settings import PoseSettings

NAME = "given"


def take_given(given: ColmapModel, keyframes: Keyframes, settings: PoseSettings, child: ColmapChild) -> Climb:
    """`given` (`imports.given.given_on_keyframes`) with points triangulated from the keyframes.

    Images that see none of them are not registered. Raises `StageFailed` when hardly any point came out: then the
    poses do not belong to the pictures.
    """
    result = triangulate_given(given, keyframes, child, settings.seed)
    folder = Path(result["path"])
    if result["points"] < MIN_POINTS:
        raise StageFailed(
            f"camera_poses: only {result['points']} points agree with the given poses; check that they belong to these "
            "pictures, or run without them (given_poses: ignore)."
        )
    best = weigh(folder, Path(result["database"]), len(keyframes.table()), 0, NAME, NAME)
    focals = [camera.params[0] / max(camera.width, camera.height) for camera in given.cameras.values()]
    attempt = {
        **{key: value for key, value in result.items() if key not in ("event", "peak_rss_mb")},
        "name": NAME,
        "why": "poses came with the capture",
        "folded": best.evidence.folded,
        "held_out_pairs": 0,
        "homography_pairs": 0,
        "models": [{"path": str(folder), "registered": result["registered"], "points": result["points"]}],
    }
    return Climb(best, [attempt], (0.9 * min(focals), 1.1 * max(focals)))
