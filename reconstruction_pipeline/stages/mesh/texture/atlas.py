"""Charts of the mesh, each cut from the picture that shows it, side by side in one texture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.kernels.camera import PinholeView
from reconstruction_pipeline.stages.mesh.texture import packing
from reconstruction_pipeline.stages.mesh.texture.bake import paint_corrections
from reconstruction_pipeline.stages.mesh.texture.labels import charts_of, choose_views, neighbours_of
from reconstruction_pipeline.stages.mesh.texture.seams import level
from reconstruction_pipeline.stages.mesh.texture.visibility import see

if TYPE_CHECKING:
    from reconstruction_pipeline.stages.mesh.files import TriangleMesh

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int32]
Picture = npt.NDArray[np.uint8]

# Pixels around a chart, so that filters and smaller copies of the texture do not reach its neighbours.
GUTTER = 3
# Colours at seams are compared over this many pixels squared: not noise, nor a contour that is a pixel off.
SEAM_BLUR = 5


class Texture(NamedTuple):
    """`image` (S, S, 3) uint8 sRGB; `uv` (U, 2) float64 in 0..1 from its top left; `vertex` (U,) the vertex of the
    mesh that a corner lies on; `corners` (F, 3) into both, in the order of the mesh's faces.
    `seen`: share of the surface's area that some picture shows; the rest has the colours of its vertices.
    """

    image: Picture
    uv: Floats
    vertex: Ints
    corners: Ints
    seen: float


class _Charts(NamedTuple):
    """`corners`, `vertex` as in `Texture`; `of` (U,) the chart of a corner; `view` (C,) the picture of a chart or -1;
    `at` (U, 2) pixels in that picture, or on a plane along the chart where there is none."""

    corners: Ints
    vertex: Ints
    of: Ints
    view: Ints
    at: Floats


def texture_mesh(
    mesh: TriangleMesh, views: Sequence[PinholeView], pictures: Sequence[Picture], counts: Sequence[Bools | None],
    voxel: float, largest: int = packing.LARGEST,
) -> Texture:  # fmt: skip
    """Texture the mesh from `pictures` (H, W, 3) taken by `views`, where they count (`counts`, None for everywhere).

    The texture has the pictures' own detail, unless it would be larger than `largest` pixels a side.
    `voxel`: the mesh's own precision, world units: nothing that is nearer by less than two hides anything.
    """
    neighbours = neighbours_of(mesh.faces)
    seen = see(mesh.vertices, mesh.faces, views, pictures, counts, 2 * voxel, neighbours)
    label = choose_views(seen.score, neighbours)
    charts = _cut(mesh, label, charts_of(label, neighbours), seen.pixels, voxel)
    low = np.full((len(charts.view), 2), np.inf)
    high = np.full((len(charts.view), 2), -np.inf)
    np.minimum.at(low, charts.of, charts.at)
    np.maximum.at(high, charts.of, charts.at)
    low, high = np.floor(low).astype(np.int64) - GUTTER, np.ceil(high).astype(np.int64) + GUTTER
    sizes, place, side = _arrange(high - low, largest)
    image = _copy(pictures, charts.view, low, high, sizes, place, side)
    scale = sizes / (high - low)
    texels = place[charts.of] + (charts.at - low[charts.of]) * scale[charts.of]
    colours = _corner_colours(mesh, charts, pictures)
    correction = level(colours, charts.vertex, charts.corners)
    correction[charts.view[charts.of] < 0] += colours[charts.view[charts.of] < 0]  # there the picture is black
    paint_corrections(image, texels, charts.corners, correction, GUTTER)
    area = _areas(mesh)
    shown = float(area[label >= 0].sum() / max(area.sum(), 1e-300))
    return Texture(image, texels / side, charts.vertex, charts.corners, shown)


def _cut(mesh: TriangleMesh, label: Ints, chart: Ints, pixels: npt.NDArray[np.float32], voxel: float) -> _Charts:
    key, corners = np.unique(chart[:, None].astype(np.int64) * len(mesh.vertices) + mesh.faces, return_inverse=True)
    of, vertex = (key // len(mesh.vertices)).astype(np.int32), (key % len(mesh.vertices)).astype(np.int32)
    view = np.full(chart.max() + 1, -1, np.int32)
    view[chart] = label
    at = pixels[view[of], vertex].astype(np.float64)
    hidden = view[of] < 0
    if hidden.any():
        normal = np.zeros((len(view), 3))
        np.add.at(normal, of, mesh.normals[vertex].astype(np.float64))
        across = np.cross(normal, np.where(np.abs(normal[:, :1]) < 0.8 * np.linalg.norm(normal, axis=1)[:, None],
                                           [[1.0, 0.0, 0.0]], [[0.0, 1.0, 0.0]]))  # fmt: skip
        across /= np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-12)
        along = np.cross(normal, across)
        along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-12)
        axes = np.stack([across, along], axis=1)[of[hidden]]
        # Half a texel a voxel: there is nothing to see but the colours of the vertices.
        at[hidden] = np.einsum("nij,nj->ni", axes, mesh.vertices[vertex[hidden]]) * (0.5 / voxel)
    return _Charts(corners.reshape(-1, 3).astype(np.int32), vertex, of, view, at)


def _arrange(wanted: npt.NDArray[np.int64], largest: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], int]:
    sizes, side = wanted, packing.side_for(wanted)
    factor = 1.0
    while side > largest:
        factor *= 0.98 * largest / side
        sizes = np.maximum(np.rint(wanted * factor).astype(np.int64), 2)
        side = packing.side_for(sizes)
    return sizes, packing.pack(sizes, side)[0], side


def _copy(
    pictures: Sequence[Picture], view: Ints, low: npt.NDArray[np.int64], high: npt.NDArray[np.int64],
    sizes: npt.NDArray[np.int64], place: npt.NDArray[np.int64], side: int,
) -> Picture:  # fmt: skip
    import cv2

    image = np.zeros((side, side, 3), np.uint8)
    for v in np.unique(view[view >= 0]):
        wide = cv2.copyMakeBorder(pictures[v], GUTTER, GUTTER, GUTTER, GUTTER, cv2.BORDER_REPLICATE)
        for c in np.flatnonzero(view == v):
            (left, top), (right, bottom) = low[c] + GUTTER, high[c] + GUTTER
            piece = wide[top:bottom, left:right]
            if tuple(sizes[c]) != (right - left, bottom - top):
                piece = cv2.resize(piece, (int(sizes[c, 0]), int(sizes[c, 1])), interpolation=cv2.INTER_AREA)
            x, y = place[c]
            image[y : y + sizes[c, 1], x : x + sizes[c, 0]] = piece
    return image


def _corner_colours(mesh: TriangleMesh, charts: _Charts, pictures: Sequence[Picture]) -> Floats:
    import cv2

    colours = mesh.colours[charts.vertex].astype(np.float64)
    views = charts.view[charts.of]
    for v in np.unique(views[views >= 0]):
        there = np.flatnonzero(views == v)
        smooth = cv2.blur(pictures[v], (SEAM_BLUR, SEAM_BLUR))
        column, row = (charts.at[there].astype(np.int64)).T
        colours[there] = smooth[row, column]
    return colours


def _areas(mesh: TriangleMesh) -> Floats:
    a, b, c = (mesh.vertices[mesh.faces[:, k]] for k in range(3))
    return np.asarray(0.5 * np.linalg.norm(np.cross(b - a, c - a), axis=1))
