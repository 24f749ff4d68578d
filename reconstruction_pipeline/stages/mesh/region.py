"""Where the mesh is made, how finely, and what is cut away first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.artifacts.depth_fusion import back_project, normals_of
from reconstruction_pipeline.artifacts.errors import StageFailed
from reconstruction_pipeline.artifacts.verdict import Gate
from reconstruction_pipeline.stages.mesh.clean import compact
from reconstruction_pipeline.stages.mesh.crop import Box, Table, find_table, object_box, only
from reconstruction_pipeline.stages.mesh.settings import OBJECT, MeshSettings

if TYPE_CHECKING:
    from reconstruction_pipeline.stages.mesh.rendered_depth import SurfaceView

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

MARGIN = 0.05
"""Of the longest side, around what is seen."""
FAR_PERCENT = 1.0
"""Of the points at each end do not make the region larger; those in a box all count."""
SAMPLE_STEP = 7
MIN_POINTS = 100
CLEARANCE_VOXELS = 2.0
"""Nearer to the table than this, depth may be either the table's or the object's."""
EMPTY = (
    "mesh: the Gaussians have no surface that several views agree on; look at the renders of gaussian_splats, "
    "train longer, or film with more overlap."
)


class Region(NamedTuple):
    """`low`, `high` (3,) of the box to fuse in and the `voxel`'s edge, world units."""

    low: Floats
    high: Floats
    voxel: float


class Cut(NamedTuple):
    """`surfaces` without what was cut away; `gone` (H, W) per view: where that was; by which `box` and by which
    `table`, with a `clearance` (world units) above it; and what to say about it."""

    surfaces: list[SurfaceView]
    gone: list[Bools]
    box: Box | None
    table: Table | None
    clearance: float
    gate: Gate

    @property
    def numbers(self) -> dict[str, Any]:
        """For the metrics."""
        box = None if self.box is None else [round(float(x), 4) for x in (*self.box.low, *self.box.high)]
        return {"crop_box": box, "table_removed": self.table is not None}

    def applied(self, surfaces: list[SurfaceView]) -> list[SurfaceView]:
        """Other depth of the same scene, cut alike."""
        if self.box is not None:
            surfaces = _inside(surfaces, self.box)
        return surfaces if self.table is None else _above(surfaces, self.table, self.clearance)

    def trim(self, vertices: Floats, faces: npt.NDArray[np.int32]) -> tuple[Floats, npt.NDArray[np.int32]]:
        """A mesh without the faces that reach out of the box or down to the table; `StageFailed` if none is left."""
        kept = np.ones(len(vertices), np.bool_)
        if self.box is not None:
            kept &= np.all((vertices >= self.box.low) & (vertices <= self.box.high), axis=1)
        if self.table is not None:
            kept &= vertices @ self.table.up >= self.table.height + self.clearance
        faces = faces[kept[faces].all(axis=1)]
        if len(faces) == 0:
            raise StageFailed("mesh: the surface has nothing inside what it was to be cropped to; crop less.")
        return compact(vertices, faces)


def region_of(surfaces: list[SurfaceView], settings: MeshSettings, far_percent: float = FAR_PERCENT) -> Region:
    """The box of what is seen, without the farthest percent, and the voxel's edge for it.

    The voxel is never finer than the rendered depth: half of the views' pixels must be smaller. Raises `StageFailed`
    where hardly anything is seen.
    """
    cloud, _, footprints = _sampled(surfaces)
    if len(cloud) < MIN_POINTS:
        raise StageFailed(EMPTY)
    low, high = np.percentile(cloud, [far_percent, 100 - far_percent], axis=0)
    longest = float((high - low).max())
    voxel = max(longest / settings.resolution, float(np.median(footprints)))
    return Region(low - MARGIN * longest, high + MARGIN * longest, voxel)


class _Samples(NamedTuple):
    """`points` and `normals` (N, 3; world) of every SAMPLE_STEP-th row and column, and the width of a pixel there."""

    points: Floats
    normals: Floats
    footprints: Floats


def _sampled(surfaces: list[SurfaceView], with_normals: bool = False) -> _Samples:
    points, normals, footprints = [], [], []
    for surface in surfaces:
        rows, columns = (SAMPLE_STEP * k for k in np.nonzero(surface.depth[::SAMPLE_STEP, ::SAMPLE_STEP]))
        z, view = surface.depth[rows, columns].astype(np.float64), surface.view
        x = (columns + 0.5 - view.cx) / view.fx * z
        y = (rows + 0.5 - view.cy) / view.fy * z
        points.append(np.column_stack([x, y, z]) @ view.rotation + view.center)
        footprints.append(z / view.fx)
        if with_normals:
            every = normals_of(back_project(surface.depth, view), surface.depth, view)
            normals.append(every[rows, columns].astype(np.float64))
    return _Samples(np.concatenate(points), np.concatenate(normals or [np.empty((0, 3))]), np.concatenate(footprints))


def cut_to_object(surfaces: list[SurfaceView], settings: MeshSettings) -> Cut:
    """Cut away what the settings do not want: outside a box, and the table under what stands in it.

    What cannot be found (an object in a room, a table) is not cut away, and the gate `mesh_crop` says so. Raises
    `StageFailed` for a box in which nothing is seen.
    """
    before, wanted = surfaces, settings.box
    problems: list[str] = []
    box = object_box([surface.view for surface in surfaces]) if wanted == OBJECT else wanted
    if wanted == OBJECT and box is None:
        problems.append("the cameras do not look at one object from around it, so nothing was cropped")
    if isinstance(box, Box):
        surfaces = _inside(surfaces, box)
        if len(_sampled(surfaces).points) < MIN_POINTS:
            raise StageFailed(f"mesh: nothing is seen inside the box of --crop; what is seen spans {_span(before)}.")
    table, clearance = None, 0.0
    if settings.without_table:
        near = CLEARANCE_VOXELS * region_of(surfaces, settings, FAR_PERCENT if box is None else 0.0).voxel
        samples = _sampled(surfaces, with_normals=True)
        table = find_table(samples.points, samples.normals, near)
        if table is None:
            problems.append("no level surface carries the object, so no table was removed")
        else:
            clearance = near + 2.0 * table.spread
            surfaces = _above(surfaces, table, clearance)
    gone = [(old.depth > 0) & (new.depth == 0) for old, new in zip(before, surfaces, strict=True)]
    message = "; ".join(problems) or "the mesh was cut to what was asked for"
    advice = "Give the box in numbers: --crop x0,y0,z0,x1,y1,z1, in the world of mesh.ply." if problems else ""
    gate = Gate("mesh_crop", not problems, "warn", f"{message[0].upper()}{message[1:]}.", advice=advice)
    return Cut(surfaces, gone, box if isinstance(box, Box) else None, table, clearance, gate)


def _inside(surfaces: list[SurfaceView], box: Box) -> list[SurfaceView]:
    return [only(s, box.holds(s)) for s in surfaces]


def _above(surfaces: list[SurfaceView], table: Table, clearance: float) -> list[SurfaceView]:
    return [only(s, (s.depth > 0) & ~table.is_below(s, clearance)) for s in surfaces]


def _span(surfaces: list[SurfaceView]) -> str:
    points = _sampled(surfaces).points
    low, high = (tuple(float(x) for x in np.round(end, 2)) for end in (points.min(axis=0), points.max(axis=0)))
    return f"{low} to {high}"
