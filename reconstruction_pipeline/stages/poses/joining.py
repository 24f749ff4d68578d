"""Sub-models of one capture put together where the evidence allows it; part of the child process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from reconstruction_pipeline.artifacts.colmap import Camera, ColmapModel, read_model
from reconstruction_pipeline.stages.poses.consistency import agreements
from reconstruction_pipeline.stages.poses.folds import find_folds
from reconstruction_pipeline.stages.poses.geometry import Similarity
from reconstruction_pipeline.stages.poses.mapping import keep, models_folder, posed, refine, triangulated
from reconstruction_pipeline.stages.poses.matches import MatchGraph, read_matches
from reconstruction_pipeline.stages.poses.matching import match_pairs
from reconstruction_pipeline.stages.poses.overlap import held_out_pairs, predicted_overlaps
from reconstruction_pipeline.stages.poses.parts import Links, Part, View, bring_together, find_links

# Parts smaller than this are accidents of matching.
MIN_IMAGES = 3
# The largest parts that are looked at; more are no capture but its ruins.
MOST_PARTS = 6
# Of a pair's matches across the seam; fewer say little. What share of all of them the joined poses must allow.
SEAM_MATCHES, SEAM_SHARE = 15, 0.5
# Pairs of images that are compared across it once it is known where it lies.
SEAM_PAIRS = 80
# Reprojection error of the whole over that of its worse part; above that the parts were bent to meet.
WORSE = 1.5


def join_parts(
    job: dict[str, Any], database: Path, found: list[Any]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Join what can be joined to the largest of `found` (`pycolmap.Reconstruction`).

    Returns the joined models (as `mapping.keep`; the last is the largest), and for each try what came of it: `images`
    (names that would be won), `onto` (how many images), `links`, `inliers`, `joined`, `why` not. The parts themselves
    stay as they are.
    """
    parts = sorted(
        (model for model in found if model.num_reg_images() >= MIN_IMAGES),
        key=lambda m: (-m.num_reg_images(), -m.num_points3D(), min(m.reg_image_ids())),
    )[:MOST_PARTS]
    models: list[dict[str, Any]] = []
    tries: list[dict[str, Any]] = []
    if len(parts) < 2:
        return models, tries
    graph = read_matches(database, _names(*parts))
    whole, rest = parts[0], parts[1:]
    while rest:
        ours = _part(whole)
        linked = [(find_links(ours, _part(other), graph), other) for other in rest]
        for links, other in sorted(linked, key=lambda pair: -len(pair[0])):
            larger, record = _try(job, database, whole, other, links, graph)
            tries.append(record)
            if larger is not None:
                break
        else:
            break
        whole, rest = larger, [model for model in rest if model is not other]
        models.append(keep(whole, models_folder(job) / f"joined-{len(models)}"))
    return models, tries


def _try(
    job: dict[str, Any], database: Path, base: Any, other: Any, links: Links, graph: MatchGraph
) -> tuple[Any, dict[str, Any]]:
    """The whole, or None; and the record of the try."""
    record = {
        "images": sorted(set(_names(other)) - set(_names(base))),
        "onto": base.num_reg_images(),
        "links": len(links),
        "inliers": 0,
        "joined": False,
        "why": "",
    }
    if not record["images"]:
        return None, {**record, "why": "every image of it is placed already"}
    together = bring_together(links, job["seed"])
    if together is None:
        return None, {**record, "why": "too few points in common"}
    similarity, inliers = together
    record["inliers"] = int(inliers.sum())
    whole, why = _join(job, database, base, other, similarity, graph)
    return whole, {**record, "joined": whole is not None, "why": why}


def _names(*models: Any) -> list[str]:
    return sorted({model.image(number).name for model in models for number in model.reg_image_ids()})


def _part(model: Any) -> Part:
    row_of = {number: row for row, number in enumerate(sorted(model.point3D_ids()))}
    cameras = {
        number: Camera(camera.model.name, camera.width, camera.height, tuple(map(float, camera.params)))
        for number, camera in model.cameras.items()
    }
    views = {}
    for number in model.reg_image_ids():
        image = model.image(number)
        pose = image.cam_from_world().matrix()
        keypoints = image.points2D
        views[image.name] = View(
            cameras[image.camera_id],
            pose[:, :3],
            pose[:, 3],
            np.array([p.xy for p in keypoints]).reshape(-1, 2),
            np.array([row_of[p.point3D_id] if p.has_point3D() else -1 for p in keypoints], np.int64),
        )
    xyz = np.array([model.point3D(number).xyz for number in row_of]).reshape(-1, 3)
    return Part(views, xyz)


def _join(
    job: dict[str, Any], database: Path, base: Any, other: Any, similarity: Similarity, graph: MatchGraph
) -> tuple[Any, str]:
    """(the whole, "") or (None, why not)."""
    import pycolmap

    moved = pycolmap.Reconstruction(other)
    moved.transform(pycolmap.Sim3d(similarity.scale, pycolmap.Rotation3d(similarity.rotation), similarity.translation))
    # Points are made anew from all matches: once while the seam may be off, once as strictly as ever.
    whole = triangulated(job, database, _posed(database, base, moved), loosely=True)
    refine(whole)
    ours, theirs = set(_names(base)), set(_names(other))
    graph = _match_across(job, database, _as_read(job, whole), graph, ours, theirs)
    whole = triangulated(job, database, whole, loosely=False)
    refine(whole)
    model = _as_read(job, whole)
    images = len(ours | theirs)
    seeing = sum(len(image.xy) > 0 for image in model.images)
    if seeing < images:
        return None, f"only {seeing} of {images} images keep points"
    error = whole.compute_mean_reprojection_error()
    usual = max(part.compute_mean_reprojection_error() for part in (base, other))
    if error > WORSE * usual:
        return None, f"the error of reprojection would grow from {usual:.2f} to {error:.2f} px"
    share = seam_share(model, graph, ours, theirs)
    if share is not None and share < SEAM_SHARE:
        return None, f"only {100 * share:.0f} % of the matches between them would fit"
    if find_folds(model, graph, predicted_overlaps(model)).folded:
        return None, "matches contradict the whole"
    return whole, ""


def _as_read(job: dict[str, Any], whole: Any) -> ColmapModel:
    folder = models_folder(job) / "try"
    keep(whole, folder)
    return read_model(folder)


def _match_across(
    job: dict[str, Any], database: Path, model: ColmapModel, graph: MatchGraph, ours: set[str], theirs: set[str]
) -> MatchGraph:
    """Compare images of both parts that by the poses see the same, and were never compared: they tie the seam, or
    show that there is none. All matches, these included.
    """
    across = [
        overlap
        for overlap in predicted_overlaps(model)
        if {overlap.first, overlap.second} & (ours - theirs) and {overlap.first, overlap.second} & (theirs - ours)
    ]
    pairs = held_out_pairs(across, graph.tried, SEAM_PAIRS)
    if pairs:
        match_pairs(job, database, pairs)
    return read_matches(database, ours | theirs)


def seam_share(model: ColmapModel, graph: MatchGraph, ours: set[str], theirs: set[str]) -> float | None:
    """Of all matches between images of one part alone and of the other alone, the share that `model` allows; None
    where there are none.
    """
    across = [
        pair
        for pair in agreements(model, graph, SEAM_MATCHES)
        if {pair.first, pair.second} & (ours - theirs) and {pair.first, pair.second} & (theirs - ours)
    ]
    total = sum(pair.count for pair in across)
    return sum(pair.count * pair.share for pair in across) / total if total else None


def _posed(database: Path, base: Any, moved: Any) -> Any:
    """Images of both, placed, with the lenses of `base` where it knows them."""
    return posed(
        database,
        {number: model.image(number).cam_from_world() for model in (moved, base) for number in model.reg_image_ids()},
        {number: camera for model in (moved, base) for number, camera in model.cameras.items()},
    )
