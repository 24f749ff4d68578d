"""The same scene with ever fewer splats: neighbours become one, the least visible change first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.artifacts.gaussian_splats import Gaussians
from reconstruction_pipeline.stages.compression.levels.mixture import Mixture
from reconstruction_pipeline.stages.compression.levels.pairs import costs, disjoint, neighbours

COARSEST = 32_768
"""A level of at most so many splats is the last one: about half a megabyte, which is there at once."""
MOST_LEVELS = 8
SHARE = 0.2
"""Of the splats at most this share is merged before neighbours are looked for again."""


@dataclass(frozen=True, eq=False)
class Level:
    """A scene and the cell (N,) that each of its splats belongs to."""

    scene: Gaussians
    cells: npt.NDArray[np.int64]


def level_counts(count: int, levels: int | None = None) -> list[int]:
    """Splats of each level, the full scene first, each with half of the one before.

    As many levels as asked for, or until `COARSEST` is reached; no level has less than one splat.
    """
    counts = [count]
    while counts[-1] > 1 and len(counts) < (levels or MOST_LEVELS):
        if levels is None and counts[-1] <= COARSEST:
            break
        counts.append(-(-counts[-1] // 2))
    return counts


def levels_of(scene: Gaussians, cells: npt.NDArray[np.int64], counts: Sequence[int]) -> list[Level]:
    """The scene with about `counts[1]`, `counts[2]` … splats after itself.

    Splats merge only within their cell, so that a viewer may show neighbouring cells at different levels and nothing is
    missing or there twice. A level has more splats than asked for where cells hold one each.
    """
    levels, mixture = [Level(scene, cells)], Mixture.of(scene)
    for count in counts[1:]:
        mixture, cells = _simplified(mixture, cells, count)
        levels.append(Level(mixture.gaussians(), cells))
    return levels


def _simplified(mixture: Mixture, cells: npt.NDArray[np.int64], count: int) -> tuple[Mixture, npt.NDArray[np.int64]]:
    while mixture.count > count:
        first, second = neighbours(mixture.means, cells)
        if not len(first):
            break
        # With what was changed before: else the same splats would swallow one neighbour after the other.
        total = costs(mixture, first, second) + mixture.errors[first] + mixture.errors[second]
        most = min(mixture.count - count, max(1, int(SHARE * mixture.count)))
        chosen = disjoint(first, second, total, most, mixture.count)
        mixture, kept = mixture.joined(first[chosen], second[chosen], total[chosen])
        cells = cells[kept]
    return mixture, cells
