"""Depth of plain surfaces: where the pictures cannot tell how far away something is, it is taken to be flat.

Training moves Gaussians on a blank wall or table wherever they like, as every place gives the same picture. Depth
rendered there is lumpy, and as all views render the same lumps, no comparison of views finds them. Two things do: there
is no texture, and matching the pictures gave no depth. Depth is then smoothed over as much as a twelfth of the picture,
as flat as possible and not across edges; gaps in surfaces close the same way. An area within which nothing was measured
is left open, unless it lies between what was measured, as nothing says where it is.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.stages.mesh.second_order import bends, solve

Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]

TEXTURE = 0.012
"""Root mean square step (of 0..1) from pixel to pixel that fixes depth; less is noise and blur."""
TEXTURE_PX = 4.0
"""Blur of the mean."""
NEAREST_PX = 2.0
"""What has texture is smoothed over this."""
EDGE = 0.03
"""Difference between neighbouring pixels (of 0..1) that is an edge."""
CREASE = 1e-3
"""Second difference of relative inverse depth, from pixel to pixel, that is a crease and no noise."""
STEP = 0.02
"""Second difference of the data that is a step, where the picture has an edge, too."""
OUTLIER = 0.05
"""Data farther off (relative inverse depth) hardly count."""
ROUNDS = 2
"""Times that creases are found anew on each level of the pyramid."""
STEPS = (30, 80)
"""Steps of the solver each time, on the finest level and on the others, where they cost little."""
SMALLEST_PX = 24
"""No level of the pyramid has a shorter side."""
FADED_PX = 4
"""Matching takes what is beside an edge for what has the edge: so far inside an area it no longer does."""
MIN_MEASURED = 0.02
"""Share of an area's inside that must have been measured, or the area is left open."""
MIN_AREA = 0.005
"""Of the picture. Smaller areas are taken with what is around them."""


class Level(NamedTuple):
    """All (H, W) float32: `data`, inverse depth over its median; its `weight`, 0 where there is none; the `picture`,
    grey in 0..1; and `known` (bool), where there is to be depth at all."""

    data: Floats
    weight: Floats
    picture: Floats
    known: Bools


def flatten(depth: Floats, reach: Floats, wanted: Bools, grey: Floats) -> Floats:
    """Depth (H, W) where `wanted` (H, W): like `depth` (H, W; 0: unknown), smoothed over `reach` (H, W) pixels, and as
    flat as that allows where it is unknown, but not across edges of the picture `grey` (H, W), 0..1."""
    known = depth > 0
    if not known.any():
        return np.zeros_like(depth)
    typical = np.float32(np.median(depth[known]))
    weight = np.where(known, 1 / reach**4, 0).astype(np.float32)
    data = np.where(known, typical / np.where(known, depth, 1), 0).astype(np.float32)
    x = _solved(Level(data, weight, grey, wanted | known))
    inside = wanted & (x > 0.5 * data[known].min()) & (x < 2 * data[known].max())
    return np.where(inside, typical / np.where(inside, x, 1), 0).astype(np.float32)


def plainness(grey: Floats) -> Floats:
    """(H, W) from 0 for texture to 1 for none, of a grey picture (H, W) in 0..1."""
    import cv2

    squared = cv2.GaussianBlur(_steps_squared(grey), (0, 0), TEXTURE_PX)
    return np.asarray(1 / (1 + squared / np.float32(TEXTURE**2)), np.float32)


def without_evidence(grey: Floats, measured: Bools) -> Bools:
    """(H, W) the areas between the edges of a grey picture (H, W) in which nothing was `measured` (H, W), but for what
    lies between measured pixels: a screen in its frame is where the frame is, a floor behind a table's edge anywhere.
    """
    import cv2

    weak = (_steps_squared(grey) < np.float32(0.25 * EDGE**2)).astype(np.uint8)
    # A thin line of weak gradient must not join two areas.
    even = cv2.erode(weak, np.ones((3, 3), np.uint8)).astype(np.uint8, copy=False)
    count, area_of = cv2.connectedComponents(even, connectivity=4)
    inside = cv2.erode(even, np.ones((2 * FADED_PX - 1,) * 2, np.uint8)) > 0
    sizes = np.bincount(area_of.ravel(), minlength=count)
    whole = np.bincount(area_of[inside], minlength=count)
    seen = np.bincount(area_of[inside & measured], minlength=count)
    unseen = (sizes >= MIN_AREA * grey.size) & (seen < MIN_MEASURED * whole)
    unseen[0] = False  # the edges themselves
    area = cv2.dilate(unseen[area_of].astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    return np.asarray(area & ~_between(measured))


def _steps_squared(grey: Floats) -> Floats:
    """(H, W) of a picture (H, W): the square of its step from pixel to pixel."""
    import cv2

    across, down = cv2.Sobel(grey, cv2.CV_32F, 1, 0, scale=0.125), cv2.Sobel(grey, cv2.CV_32F, 0, 1, scale=0.125)
    return np.asarray(across**2 + down**2, np.float32)


def _between(there: Bools) -> Bools:
    """(H, W) pixels with others that are `there` (H, W) on both sides, along two at least of the four lines through
    them (across, down, and the diagonals).
    """
    lines = [_both_sides(there.T).T, _both_sides(there)]
    for mirrored in (there, there[:, ::-1]):
        height, width = there.shape
        rows = np.arange(height)[:, None]
        columns = np.arange(width) + rows
        slanted = np.zeros((height, height + width), np.bool_)
        slanted[rows, columns] = mirrored
        lines.append(_both_sides(slanted)[rows, columns])
    lines[3] = lines[3][:, ::-1]
    return np.asarray(np.sum(lines, axis=0) >= 2)


def _both_sides(there: Bools) -> Bools:
    above, below = np.logical_or.accumulate(there), np.logical_or.accumulate(there[::-1])[::-1]
    return np.asarray(above & below)


def _solved(finest: Level) -> Floats:
    """Coarse to fine: far reach needs many steps of a solver, and few on a coarse level."""
    levels = [finest]
    while min(levels[-1].data.shape) >= 2 * SMALLEST_PX:
        levels.append(_halved(levels[-1]))
    x = _spread(levels[-1])
    for number in range(len(levels) - 1, -1, -1):
        x = _minimised(x, levels[number], 2.0**number)
        if number:
            x = _enlarged(x, levels[number].known, levels[number - 1])
    return x


def _halved(level: Level) -> Level:
    import cv2

    height, width = level.data.shape
    size = ((width + 1) // 2, (height + 1) // 2)
    total, mean = (cv2.resize(a, size, interpolation=cv2.INTER_AREA) for a in (level.data * level.weight, level.weight))
    data = np.where(mean > 0, total / np.where(mean > 0, mean, 1), 0).astype(np.float32)
    known = cv2.resize(level.known.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0.5
    weight = (16 * mean * known).astype(np.float32)  # of a reach half as long in pixels
    picture = cv2.resize(level.picture, size, interpolation=cv2.INTER_AREA)
    return Level(data, weight, picture.astype(np.float32, copy=False), known)


def _spread(level: Level) -> Floats:
    """A first guess everywhere: the data, blurred as far as it takes."""
    import cv2

    sigma = max(level.data.shape) / 8
    total, norm = (cv2.GaussianBlur(a, (0, 0), sigma) for a in (level.data * level.weight, level.weight))
    mean = float((level.data * level.weight).sum()) / max(float(level.weight.sum()), 1e-30)
    blurred = np.where(norm > 0, total / np.where(norm > 0, norm, 1), mean)
    return np.where(level.weight > 0, level.data, blurred).astype(np.float32)


def _enlarged(x: Floats, known: Bools, finer: Level) -> Floats:
    import cv2

    size = (finer.data.shape[1], finer.data.shape[0])
    there = known.astype(np.float32)
    share, total = (cv2.resize(a, size, interpolation=cv2.INTER_LINEAR) for a in (there, x * there))
    return np.where(share > 1e-3, total / np.maximum(share, 1e-3), finer.data).astype(np.float32)


def _minimised(x: Floats, level: Level, scale: float) -> Floats:
    """`x` with the least cost on a level whose pixels are `scale` of the finest wide."""
    x, data, weight, picture = (np.pad(a, 1) for a in (x, level.data, level.weight, level.picture))
    known, given = np.pad(level.known, 1).view(np.uint8), (weight > 0).view(np.uint8)
    bend = [np.zeros_like(x) for _ in range(3)]
    limits = np.float32(CREASE * scale), np.float32(STEP), np.float32(EDGE)
    steps = STEPS[0] if scale == 1 else STEPS[1]
    for _ in range(ROUNDS):
        off = (x - data) / np.float32(OUTLIER)
        bends(x, data, picture, known, given, *limits, *bend)
        solve(x, data, weight / (1 + off * off), *bend, steps)
    return np.ascontiguousarray(x[1:-1, 1:-1])
