"""An octree over the centres of splats; its leaves are the cells in which a viewer chooses the level of detail."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

MAX_DEPTH = 24
"""Where splats lie on top of each other no cube is small enough; a leaf may then hold more."""

Rows = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Cell:
    """A cube of space: `rows` (n,) of the splats in it, and its non-empty octants, none for a leaf."""

    rows: Rows
    children: tuple[Cell, ...] = ()


def octree(means: npt.NDArray[np.float32], most: int) -> Cell:
    """Cubes around `means` (N, 3), split until each holds at most `most` of them; N is at least 1."""
    points = means.astype(np.float64)
    low = points.min(axis=0)
    size = max(float((points.max(axis=0) - low).max()), 1e-12)
    return _split(points, np.arange(len(points)), low, size, most, MAX_DEPTH)


def _split(points: npt.NDArray[np.float64], rows: Rows, low: npt.NDArray[np.float64], size: float, most: int,
           depth: int) -> Cell:  # fmt: skip
    if len(rows) <= most or depth == 0:
        return Cell(rows)
    half = 0.5 * size
    upper = points[rows] >= low + half
    octant = upper @ np.array([1, 2, 4])
    children = []
    for number in np.unique(octant):
        corner = low + half * np.array([number & 1, number >> 1 & 1, number >> 2 & 1])
        children.append(_split(points, rows[octant == number], corner, half, most, depth - 1))
    # A cube with all its splats in one octant says no more than that octant.
    return children[0] if len(children) == 1 else Cell(rows, tuple(children))


def leaves(root: Cell) -> Iterator[Cell]:
    """The leaves in the order of the tree, so that neighbours in the sequence are mostly neighbours in space."""
    if not root.children:
        yield root
    for child in root.children:
        yield from leaves(child)


def cells_of(root: Cell) -> npt.NDArray[np.int64]:
    """(N,) the number of the leaf that each splat lies in."""
    numbers = np.empty(len(root.rows), np.int64)
    for number, leaf in enumerate(leaves(root)):
        numbers[leaf.rows] = number
    return numbers
