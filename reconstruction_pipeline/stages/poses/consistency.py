"""Do poses agree with what pairs of images say by themselves?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.artifacts.colmap import ColmapModel, PosedImage
from reconstruction_pipeline.stages.poses.lens import focal_lengths, normalised
from reconstruction_pipeline.stages.poses.matches import MatchGraph, PairMatches

Array = npt.NDArray[np.float64]

# Pixels at a longest side of 1000; COLMAP verifies matches within 4.
TOLERANCE_PX = 4.0
# Of two rays that meet behind a camera; a little below zero are points far away.
BEHIND = -1e-3


@dataclass(frozen=True)
class PairAgreement:
    """`share` of the pair's `count` verified matches that the poses allow: near the epipolar line, in front."""

    first: str
    second: str
    count: int
    share: float


def agreements(model: ColmapModel, graph: MatchGraph, at_least: int) -> list[PairAgreement]:
    """Pairs of placed images with at least so many verified matches, measured against the poses of `model`.

    `model` has the distorted cameras that the matches were found with.
    """
    placed = {image.name: image for image in model.images}
    result = []
    for pair in graph.verified:
        if pair.first in placed and pair.second in placed and len(pair.xy_first) >= at_least:
            share = float(_allowed(model, placed[pair.first], placed[pair.second], pair).mean())
            result.append(PairAgreement(pair.first, pair.second, len(pair.xy_first), share))
    return result


def _allowed(model: ColmapModel, a: PosedImage, b: PosedImage, pair: PairMatches) -> npt.NDArray[np.bool_]:
    """(M,) whether the poses allow each match."""
    camera_a, camera_b = model.cameras[a.camera_id], model.cameras[b.camera_id]
    tolerance = TOLERANCE_PX * max(max(camera_a.width, camera_a.height) / 1000.0, 0.5)
    limit = tolerance / float(np.mean([*focal_lengths(camera_a), *focal_lengths(camera_b)]))
    rays_a, rays_b = (
        np.column_stack([normalised(camera, xy), np.ones(len(xy))])
        for camera, xy in ((camera_a, pair.xy_first), (camera_b, pair.xy_second))
    )
    rotation = b.rotation @ a.rotation.T
    shift = b.translation - rotation @ a.translation
    turned = rays_a @ rotation.T
    # Two cameras in one place see everything moved by their rotation alone.
    with np.errstate(divide="ignore", invalid="ignore"):
        still = np.linalg.norm(turned[:, :2] / turned[:, 2:] - rays_b[:, :2], axis=1)
    still_fits = (turned[:, 2] > 0) & (still < limit)
    if np.linalg.norm(shift) < 1e-9:
        return np.asarray(still_fits)
    return np.asarray(
        still_fits | (_sampson(rays_a, rays_b, rotation, shift) < limit) & _in_front(turned, rays_b, shift)
    )


def _sampson(rays_a: Array, rays_b: Array, rotation: Array, shift: Array) -> Array:
    """First-order distance to the epipolar geometry on the plane z = 1 (Hartley and Zisserman, 11.4.3)."""
    x, y, z = shift / np.linalg.norm(shift)
    essential = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]]) @ rotation
    lines_b, lines_a = rays_a @ essential.T, rays_b @ essential
    slope = (lines_b[:, :2] ** 2).sum(axis=1) + (lines_a[:, :2] ** 2).sum(axis=1)
    return np.asarray(np.abs((rays_b * lines_b).sum(axis=1)) / np.sqrt(np.maximum(slope, 1e-18)))


def _in_front(turned: Array, rays_b: Array, shift: Array) -> npt.NDArray[np.bool_]:
    """Whether `depth_a * turned + shift` and `depth_b * rays_b` come closest at positive depths."""
    # Least squares of depth_a * turned - depth_b * rays_b = -shift, two unknowns a match.
    aa, bb, ab = (turned**2).sum(axis=1), (rays_b**2).sum(axis=1), (turned * rays_b).sum(axis=1)
    a_s, b_s = turned @ shift, rays_b @ shift
    determinant = np.maximum(aa * bb - ab * ab, 1e-18)
    depth_a, depth_b = (ab * b_s - bb * a_s) / determinant, (aa * b_s - ab * a_s) / determinant
    far = determinant < 1e-8 * aa * bb
    return np.asarray(far | ((depth_a > BEHIND) & (depth_b > BEHIND)))
