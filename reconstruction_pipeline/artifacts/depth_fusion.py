"""Depth maps of many views merged into one set of oriented points, e.g. for the first Gaussians."""

from __future__ import annotations

import os
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.artifacts.camera_poses import CameraPoses
from reconstruction_pipeline.artifacts.colmap import ColmapModel, PosedImage
from reconstruction_pipeline.artifacts.depth_maps import DepthMap, DepthMaps
from reconstruction_pipeline.artifacts.views import pinhole_view, read_picture
from reconstruction_pipeline.kernels.camera import PinholeView

Floats = npt.NDArray[np.float32]

CANDIDATES_PER_POINT = 6
_NORMAL_STEP = 2
_SAME_SURFACE = 0.04


class FusedPoints(NamedTuple):
    """N points of the visible surfaces, world frame and units.

    `xyz` (N, 3) float32; `rgb` (N, 3) uint8; `normals` (N, 3) float32, unit, towards the cameras that saw the
    point; `radius` (N,) float32, half the width of the point's cell: the nearest other point is about one
    radius away.
    """

    xyz: Floats
    rgb: npt.NDArray[np.uint8]
    normals: Floats
    radius: Floats


def fuse_points(
    poses: CameraPoses,
    depth_maps: DepthMaps,
    max_points: int,
    min_confidence: float = 0.5,
    names: Collection[str] | None = None,
) -> FusedPoints:
    """At most `max_points` points from the pixels whose confidence is at least `min_confidence`; maybe none.

    Points of all views that fall into one cell become their mean, weighted by confidence. Cells grow with
    the distance a point was seen from, so that the points are about equally dense in the pictures. The
    result is the same for the same input: no random numbers. `names` limits it to some images, e.g. those
    that are not held out.
    """
    model = poses.model()
    known = set(depth_maps.names()) & set(depth_maps.names() if names is None else names)
    images = [image for image in model.images if image.name in known]
    loaded = [depth_maps.load(image.name) for image in images]
    usable = [(m.depth > 0) & (m.confidence >= min_confidence) for m in loaded]
    total = sum(int(np.count_nonzero(u)) for u in usable)
    if total == 0 or max_points < 1:
        none = np.empty((0, 3), np.float32)
        return FusedPoints(none, none.astype(np.uint8), none.copy(), np.empty(0, np.float32))
    stride = max(1, int(np.sqrt(total / (CANDIDATES_PER_POINT * max_points))))
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # what takes time in numpy and OpenCV lets others run
        of_view = partial(_candidates, poses, model, stride=stride)
        parts = list(pool.map(of_view, images, loaded, usable))
    return _merge(np.concatenate(parts), max_points)


def _candidates(
    poses: CameraPoses,
    model: ColmapModel,
    image: PosedImage,
    depth_map: DepthMap,
    usable: npt.NDArray[np.bool_],
    stride: int,
) -> Floats:
    """Every `stride`-th usable pixel of a view: columns (xyz, normal, rgb, confidence, footprint)."""
    height, width = depth_map.depth.shape
    view = pinhole_view(model, image).scaled(width, height)
    chosen = np.zeros_like(usable)
    chosen[stride // 2 :: stride, stride // 2 :: stride] = True
    rows, columns = np.nonzero(usable & chosen)
    points = back_project(depth_map.depth, view)
    normals = normals_of(points, depth_map.depth, view)
    picture = read_picture(poses.image_path(image.name), view)
    footprint = depth_map.depth[rows, columns] * np.float32(stride / view.fx)
    seen, normal, colour = (values[rows, columns] for values in (points, normals, picture))
    return np.column_stack([seen, normal, colour, depth_map.confidence[rows, columns], footprint]).astype(np.float32)


def sparse_elsewhere(model: ColmapModel, fused: FusedPoints, reach: float = 4.0) -> npt.NDArray[np.bool_]:
    """Which sparse points (P,) lie farther than `reach` radii from every fused point: those that fill its gaps."""
    from scipy.spatial import cKDTree

    if len(fused.xyz) == 0 or len(model.xyz) == 0:
        return np.ones(len(model.xyz), bool)
    distance, nearest = cKDTree(fused.xyz).query(model.xyz)
    return np.asarray(distance > reach * fused.radius[nearest])


def back_project(depth: Floats, view: PinholeView) -> Floats:
    """World points (H, W, 3) of a depth map of the view's size; the camera centre where depth is 0."""
    height, width = depth.shape
    x = ((np.arange(width) + 0.5 - view.cx) / view.fx).astype(np.float32)
    y = ((np.arange(height) + 0.5 - view.cy) / view.fy).astype(np.float32)
    rays = np.dstack([np.broadcast_to(x, depth.shape), np.broadcast_to(y[:, None], depth.shape), np.ones_like(depth)])
    points = (rays * depth[..., None]) @ view.rotation.astype(np.float32) + view.center.astype(np.float32)
    return np.asarray(points, np.float32)


def normals_of(points: Floats, depth: Floats, view: PinholeView) -> Floats:
    """Unit normals (H, W, 3) towards the camera, from differences of neighbouring points on one surface.

    Where a pixel has no such neighbours in a direction, the normal is that towards the camera.
    """
    across, down = _difference(points, depth, 1), _difference(points, depth, 0)
    normals = np.cross(down, across)
    to_camera = view.center.astype(np.float32) - points
    to_camera /= np.maximum(np.linalg.norm(to_camera, axis=2, keepdims=True), 1e-12)
    length = np.linalg.norm(normals, axis=2, keepdims=True)
    normals = np.where(length > 1e-20, normals / np.maximum(length, 1e-20), to_camera)
    facing = np.sum(normals * to_camera, axis=2, keepdims=True)
    return np.asarray(np.where(facing < 0, -normals, normals), np.float32)


def _difference(points: Floats, depth: Floats, axis: int) -> Floats:
    """Difference of the points on both sides along an axis, or of one side and the middle; 0 where neither is there."""
    before, after = np.roll(points, _NORMAL_STEP, axis), np.roll(points, -_NORMAL_STEP, axis)
    near = [np.abs(np.roll(depth, s, axis) - depth) < _SAME_SURFACE * depth for s in (_NORMAL_STEP, -_NORMAL_STEP)]
    edge = [slice(None), slice(None)]
    edge[axis] = slice(0, _NORMAL_STEP)
    near[0][tuple(edge)] = False
    edge[axis] = slice(-_NORMAL_STEP, None)
    near[1][tuple(edge)] = False
    first = np.where(near[0][..., None], before, points)
    last = np.where(near[1][..., None], after, points)
    return np.asarray(last - first)


def _merge(candidates: Floats, max_points: int) -> FusedPoints:
    """Means per cell of columns (xyz, normal, rgb, confidence, footprint); the smallest cells that keep the limit."""
    grid = _Grid(candidates[:, :3], candidates[:, 10])
    low, high = 1.0, 1.0
    while grid.count(high) > max_points:
        low, high = high, high * 2
    for _ in range(6 if high > 1.0 else 0):
        middle = 0.5 * (low + high)
        if grid.count(middle) > max_points:
            low = middle
        else:
            high = middle
    cells, count = grid.cells(high)
    weight = candidates[:, 9].astype(float) + 1e-3
    norm = np.bincount(cells, weight, count)
    mean = np.column_stack([np.bincount(cells, weight * candidates[:, k], count) / norm for k in (*range(9), 10)])
    normals = mean[:, 3:6] / np.maximum(np.linalg.norm(mean[:, 3:6], axis=1, keepdims=True), 1e-12)
    return FusedPoints(
        mean[:, :3].astype(np.float32),
        np.clip(np.rint(mean[:, 6:9]), 0, 255).astype(np.uint8),
        normals.astype(np.float32),
        (0.5 * high * mean[:, 9]).astype(np.float32),
    )


class _Grid:
    """Cells of points (N, 3): their edges are the points' footprints (N,), rounded to powers of two, times a size."""

    def __init__(self, xyz: Floats, footprint: Floats) -> None:
        level = np.round(np.log2(footprint.astype(float)))
        self._level = (level - level.min()).astype(np.int64)
        axes = np.ascontiguousarray(xyz.T)
        self._axes = [(axis - axis.min()) * 2.0**-level for axis in axes]

    def count(self, size: float) -> int:
        """How many cells hold a point."""
        ordered = np.sort(self._keys(size))
        return 1 + int(np.count_nonzero(np.diff(ordered)))

    def cells(self, size: float) -> tuple[npt.NDArray[np.intp], int]:
        """The cell of every point as an index below the count of cells."""
        _, cells = np.unique(self._keys(size), return_inverse=True)
        return cells, int(cells.max()) + 1

    def _keys(self, size: float) -> npt.NDArray[np.int64]:
        key = self._level
        for axis in self._axes:
            place = np.floor(axis / size).astype(np.int64)
            key = key * (int(place.max()) + 1) + place
        return key
