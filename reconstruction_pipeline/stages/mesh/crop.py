"""One object instead of everything that was seen: a box, and the table that it stands on taken away.

Both are done to the depth before it is fused, so that the voxels, the faces and the texture are spent on what is kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from reconstruction_pipeline.kernels.camera import PinholeView
    from reconstruction_pipeline.stages.mesh.rendered_depth import SurfaceView

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

MIN_CONVERGENCE = 0.02
"""Mean squared sine of the angles between the optical axes and the direction nearest to all: below, about 8 degrees,
they are parallel, and no place is looked at from several sides."""
MAX_MISS = 0.35
"""The axes pass their common point at this share of its distance, in the median, or there is no such point."""
MAX_TILT_DEG = 25.0
"""A table is level, up to this; the world's gravity is an estimate."""
NOISE_DEG = 15.0
"""The normals of single pixels are off by as much."""
MIN_SHARE = 0.15
"""A table has at least this share of the points in the box."""
HYPOTHESES = 400
MOST_POINTS = 20_000


class Box(NamedTuple):
    """`low`, `high` (3,), world units, y down."""

    low: Floats
    high: Floats

    def holds(self, surface: SurfaceView) -> Bools:
        """(H, W) whether the known depth of a view lies inside."""
        inside = surface.depth > 0
        for axis in range(3):
            place = coordinate(surface, np.eye(3)[axis])
            inside &= (place >= self.low[axis]) & (place <= self.high[axis])
        return inside


class Table(NamedTuple):
    """The plane `up` @ x = `height`; `up` (3,) is a unit vector away from the ground. `spread`: how far, in the
    median, its own points lie off it."""

    up: Floats
    height: float
    spread: float

    def is_below(self, surface: SurfaceView, clearance: float) -> Bools:
        """(H, W) whether a view's depth lies less than `clearance` (world units) above it."""
        return np.asarray(coordinate(surface, self.up) < self.height + clearance)


def object_box(views: list[PinholeView]) -> Box | None:
    """Around the place that the cameras look at, as far as half of the pictures show all of it.

    The place is the point nearest to all optical axes. None where they have none: the capture is no walk around an
    object.
    """
    axes = np.array([view.rotation[2] for view in views])
    centers = np.array([view.center for view in views])
    across = np.eye(3) - axes[:, :, None] * axes[:, None, :]
    total = across.sum(axis=0)
    if np.linalg.eigvalsh(total)[0] < MIN_CONVERGENCE * len(views):
        return None
    middle = np.linalg.solve(total, np.einsum("nij,nj->i", across, centers))
    along = np.einsum("nj,nj->n", axes, middle - centers)
    missed = np.linalg.norm(np.einsum("nij,nj->ni", across, middle - centers), axis=1)
    if np.median(along) <= 0 or np.median(missed) > MAX_MISS * np.median(along):
        return None
    radius = float(np.median([_clear_of_the_frame(view, middle) for view in views]))
    return Box(middle - radius, middle + radius) if radius > 0 else None


def _clear_of_the_frame(view: PinholeView, point: Floats) -> float:
    """The radius of the largest sphere about a point that the picture shows whole; negative where the point is not."""
    x, y, z = view.rotation @ point + view.translation
    sides = (
        (view.fx * x + view.cx * z, np.hypot(view.fx, view.cx)),
        ((view.width - view.cx) * z - view.fx * x, np.hypot(view.fx, view.width - view.cx)),
        (view.fy * y + view.cy * z, np.hypot(view.fy, view.cy)),
        ((view.height - view.cy) * z - view.fy * y, np.hypot(view.fy, view.height - view.cy)),
    )
    return float(min([z, *(off / length for off, length in sides)]))


def find_table(points: Floats, normals: Floats, tolerance: float) -> Table | None:
    """The level plane with the most of the level points within `tolerance`; None without one of `MIN_SHARE` of all.

    `points`, `normals` (N, 3; world). RANSAC (Fischler and Bolles 1981), always with the same random numbers, and least
    squares on what it met.
    """
    rng = np.random.default_rng(0)
    if len(points) > MOST_POINTS:
        chosen = rng.choice(len(points), MOST_POINTS, replace=False)
        points, normals = points[chosen], normals[chosen]
    needed = max(MIN_SHARE * len(points), 100)
    points = points[np.abs(normals[:, 1]) > np.cos(np.radians(MAX_TILT_DEG + NOISE_DEG))]
    if len(points) < needed:
        return None
    best, most = None, 0
    for a, b, c in points[rng.integers(0, len(points), (HYPOTHESES, 3))]:
        normal = np.cross(b - a, c - a)
        length = np.linalg.norm(normal)
        if length == 0 or abs(normal[1]) < np.cos(np.radians(MAX_TILT_DEG)) * length:
            continue
        near = np.abs((points - a) @ (normal / length)) < tolerance
        if near.sum() > most:
            best, most = near, int(near.sum())
    if best is None or most < needed:
        return None
    middle = points[best].mean(axis=0)
    up = np.linalg.svd(points[best] - middle, full_matrices=False)[2][2]
    up = -up if up[1] > 0 else up  # y is down
    off = points[best] @ up - middle @ up
    return Table(up, float(middle @ up), float(np.median(np.abs(off))))


def coordinate(surface: SurfaceView, direction: Floats) -> Floats:
    """(H, W) how far along a unit `direction` (3,; world) the points of a depth map lie."""
    view = surface.view
    x, y, z = view.rotation @ direction
    columns = (np.arange(view.width) + 0.5 - view.cx) / view.fx * x
    rows = (np.arange(view.height) + 0.5 - view.cy) / view.fy * y
    return np.asarray(surface.depth * (rows[:, None] + columns[None] + z) + view.center @ direction)


def only(surface: SurfaceView, kept: Bools) -> SurfaceView:
    """The view with its depth unknown where it is not `kept` (H, W)."""
    return surface._replace(depth=np.where(kept, surface.depth, 0).astype(np.float32))
