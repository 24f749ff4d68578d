"""How good the depth maps are, against the sparse points and in coverage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.artifacts.colmap import ColmapModel, PosedImage
from reconstruction_pipeline.artifacts.depth_maps import DepthMap
from reconstruction_pipeline.artifacts.verdict import Gate
from reconstruction_pipeline.stages.depth.settings import DepthSettings

if TYPE_CHECKING:
    from reconstruction_pipeline.kernels.camera import PinholeView

AGREES_WITHIN = 0.05


def measure(
    model: ColmapModel,
    views: list[PinholeView],
    maps: dict[str, DepthMap],
    counts: Sequence[npt.NDArray[np.bool_] | None],
) -> dict[str, Any]:
    """Coverage over all images (one without a map counts as empty) of what counts in them, and errors at the sparse
    points. `counts` (H, W) per image, None where all of it does.
    """
    errors, points = [], 0
    for image, view in zip(model.images, views, strict=True):
        if image.name in maps:
            points += len(image.xy)
            errors.append(relative_errors(model, image, view, maps[image.name].depth))
    relative = np.concatenate(errors) if errors else np.empty(0)
    covered = [_covered(maps.get(i.name), seen) for i, seen in zip(model.images, counts, strict=True)]
    return {
        "images": len(maps),
        "coverage": round(float(np.mean(covered)), 4),
        "median_relative_error_to_sparse": round(float(np.median(relative)), 5) if relative.size else None,
        "sparse_within_5_percent": round(float(np.mean(relative < AGREES_WITHIN)), 4) if relative.size else 0.0,
        "sparse_covered": round(relative.size / max(points, 1), 4),
        "width": views[0].width,
        "height": views[0].height,
    }


def _covered(depth_map: DepthMap | None, counts: npt.NDArray[np.bool_] | None) -> float:
    if counts is not None and not counts.any():
        return 1.0  # nothing was asked for
    if depth_map is None:
        return 0.0
    return float(np.mean(depth_map.depth[counts] > 0 if counts is not None else depth_map.depth > 0))


def relative_errors(
    model: ColmapModel, image: PosedImage, view: PinholeView, depth: npt.NDArray[np.float32]
) -> npt.NDArray[np.float64]:
    """|map / point - 1| at the image's sparse points that fall on a known depth."""
    rows, columns, z = sparse_pixels(model, image, view)
    found = depth[rows, columns].astype(float)
    known = found > 0
    return np.asarray(np.abs(found[known] / z[known] - 1))


def sparse_pixels(
    model: ColmapModel, image: PosedImage, view: PinholeView
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.float64]]:
    """Rows, columns (M,) in a map of the view's size, and depths (M,) of the image's sparse points in front of it."""
    camera = model.cameras[image.camera_id]
    z = model.xyz[image.point_rows] @ image.rotation[2] + image.translation[2]
    column = np.floor(image.xy[:, 0] * view.width / camera.width).astype(np.intp)
    row = np.floor(image.xy[:, 1] * view.height / camera.height).astype(np.intp)
    inside = (z > 0) & (column >= 0) & (row >= 0) & (column < view.width) & (row < view.height)
    return row[inside], column[inside], np.asarray(z[inside], float)


def verdict_of(metrics: dict[str, Any], settings: DepthSettings) -> list[Gate]:
    """Both gates only warn: the splats then start from sparse points where depth is missing."""
    share, coverage = metrics["sparse_within_5_percent"], metrics["coverage"]
    median = metrics["median_relative_error_to_sparse"]
    shown = "none could be compared" if median is None else f"median relative error {100 * median:.2f} %"
    return [
        Gate(
            "depth_agrees_with_sparse",
            share >= settings.accepted_share,
            "warn",
            f"{100 * share:.0f} % of the sparse points on known depth are met within 5 % ({shown}).",
            share,
            settings.accepted_share,
            "Poses may be inaccurate: film more slowly, with more overlap and texture.",
        ),
        Gate(
            "depth_coverage",
            coverage >= settings.accepted_coverage,
            "warn",
            f"{100 * coverage:.0f} % of the pixels have a depth that several views agree on.",
            coverage,
            settings.accepted_coverage,
            "Plain or shiny surfaces stay empty: film them from nearer, with more views.",
        ),
    ]
