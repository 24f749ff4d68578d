"""Which images look at the same points from nearly the same place, by the poses alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.artifacts.colmap import ColmapModel, PosedImage
from reconstruction_pipeline.stages.poses.masks import distort

Array = npt.NDArray[np.float64]

# Beyond these, surfaces hide each other and features change, and a missing match says nothing.
MAX_ANGLE_DEG, MAX_SCALE = 20.0, 1.4
MIN_SHARE, MIN_POINTS = 0.6, 50
# Points of an image looked at, a regular sample: enough for a share.
SAMPLE = 128
# Image borders, as a share of the size, where features are rarely found.
BORDER = 0.03
# Tangent of half the widest view that the lens models hold for.
WIDEST = 1.6


@dataclass(frozen=True)
class Overlap:
    """`share` of the points of either image that the other should see as well; `shared` points that both did see;
    `fewest`: how many points the poorer of the two sees.
    """

    first: str
    second: str
    share: float
    shared: int
    fewest: int


def predicted_overlaps(model: ColmapModel) -> list[Overlap]:
    """All pairs of images of which each should see MIN_SHARE of the other's points, alike in direction and scale."""
    images, centers = model.images, model.centers
    seen = np.zeros((len(images), len(model.xyz)), bool)
    for row, image in enumerate(images):
        seen[row, image.point_rows] = True
    samples = [model.xyz[rows[:: -(-len(rows) // SAMPLE) or 1]] for rows in (np.flatnonzero(s) for s in seen)]
    axes = np.array([image.rotation[2] for image in images]).reshape(-1, 3)
    result = []
    for i in range(len(images)):
        for j in range(i + 1, len(images)):
            fewest = min(int(seen[i].sum()), int(seen[j].sum()))
            if fewest < MIN_POINTS or axes[i] @ axes[j] < np.cos(np.radians(2 * MAX_ANGLE_DEG)):
                continue
            share = min(
                _visible_share(model, samples[i], images[j], centers[i]),
                _visible_share(model, samples[j], images[i], centers[j]),
            )
            if share >= MIN_SHARE:
                shared = int((seen[i] & seen[j]).sum())
                result.append(Overlap(images[i].name, images[j].name, share, shared, fewest))
    return result


def _visible_share(model: ColmapModel, xyz: Array, image: PosedImage, other: Array) -> float:
    """Of the points (N, 3) seen from `other`, the share that lies in this image at a similar angle and distance."""
    camera = model.cameras[image.camera_id]
    local = xyz @ image.rotation.T + image.translation
    ahead = local[:, 2] > 1e-9
    straight = local[:, :2] / np.where(ahead, local[:, 2], 1.0)[:, None]
    # Far outside the picture, the lens polynomial may bend back into it.
    ahead &= (np.abs(straight) < WIDEST).all(axis=1)
    pixels = distort(camera, np.where(ahead[:, None], straight, 0.0)) / [camera.width, camera.height]
    inside = ahead & ((pixels > BORDER) & (pixels < 1 - BORDER)).all(axis=1)
    here, there = image.center - xyz, other - xyz
    near, far = np.linalg.norm(here, axis=1), np.linalg.norm(there, axis=1)
    cosine = (here * there).sum(axis=1) / np.maximum(near * far, 1e-18)
    scale = np.maximum(near, far) / np.maximum(np.minimum(near, far), 1e-18)
    return float((inside & (cosine > np.cos(np.radians(MAX_ANGLE_DEG))) & (scale < MAX_SCALE)).mean())


def held_out_pairs(overlaps: list[Overlap], tried: frozenset[tuple[str, str]], most: int) -> list[tuple[str, str]]:
    """Up to `most` predicted pairs that were never compared, those that share least first: what to measure now."""
    new = [o for o in overlaps if (min(o.first, o.second), max(o.first, o.second)) not in tried]
    new.sort(key=lambda o: (o.shared / o.fewest, o.first, o.second))
    return [(o.first, o.second) for o in new[:most]]
