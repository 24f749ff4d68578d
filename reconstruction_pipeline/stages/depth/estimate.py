"""The stage: from posed images to depth maps that several views agree on."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.artifacts.camera_poses import CameraPoses
from reconstruction_pipeline.artifacts.colmap import ColmapModel
from reconstruction_pipeline.artifacts.covisibility import select_neighbours
from reconstruction_pipeline.artifacts.depth_maps import DepthMap, DepthMaps
from reconstruction_pipeline.artifacts.errors import StageFailed
from reconstruction_pipeline.artifacts.progress import Progress
from reconstruction_pipeline.artifacts.verdict import Verdict
from reconstruction_pipeline.artifacts.views import fit, pinhole_view, read_picture, what_counts
from reconstruction_pipeline.stages.depth.edges import beside_an_edge
from reconstruction_pipeline.stages.depth.gates import measure, sparse_pixels, verdict_of
from reconstruction_pipeline.stages.depth.monocular.fill import View
from reconstruction_pipeline.stages.depth.monocular.stage import Monocular
from reconstruction_pipeline.stages.depth.preview import write_strip
from reconstruction_pipeline.stages.depth.settings import DepthSettings

if TYPE_CHECKING:
    from reconstruction_pipeline.kernels.camera import PinholeView
    from reconstruction_pipeline.stages.depth.stereo import Stereo

Array = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]
Item = TypeVar("Item")
Result = TypeVar("Result")

STAGE = "depth_maps"
MIN_POINTS = 10
"""An image with fewer sparse points has no trustworthy depth range, and gets no map."""
MAX_THREADS = 8
SPECKLE_PX = 48
"""Connected patches of fewer pixels are dropped: they agree by chance."""


class _Scene(NamedTuple):
    """Everything the per-image work reads, in the model's image order.

    `counts`: (H, W) where the picture counts, None without a mask; elsewhere `greys` are one plain value."""

    model: ColmapModel
    views: list[PinholeView]
    pictures: list[npt.NDArray[np.uint8]]
    greys: list[Array]
    counts: list[Bools | None]
    neighbours: list[list[int]]


def estimate_depth(
    poses: CameraPoses,
    settings: DepthSettings,
    workspace: Path,
    progress: Progress,
    weights_folder: Path | None = None,
    depth_model: Path | None = None,
) -> DepthMaps:
    """Depth maps of the images, in `workspace`.

    Every image is matched against its best neighbours over planes of equal inverse-depth steps between
    the near and far end of its sparse points, smoothed semi-globally, and then keeps what enough other
    views agree on, averaged over them. What the masks of `poses` ignore has no depth and confirms none.
    Raises `StageFailed` when no image has a usable neighbour.
    """
    scene = _load(poses, settings)
    usable = [i for i in range(len(scene.views)) if scene.neighbours[i] and _points_of(scene, i).size >= MIN_POINTS]
    if not usable:
        raise StageFailed(
            "depth_maps: no image shares enough points with another from a different position; "
            "check camera_poses and film with more sideways movement."
        )
    monocular = Monocular.open(weights_folder, depth_model, settings)
    steps = (3 if monocular.model else 2) * len(usable)
    raw: dict[int, Stereo] = {}
    for i, stereo in _in_threads(lambda i: _match(scene, i, settings), usable, settings.threads):
        raw[i] = stereo
        progress.report(STAGE, len(raw), steps, scene.model.images[i].name)
    maps: dict[str, DepthMap] = {}
    for i, depth_map in _in_threads(lambda i: _agreed(scene, raw, i, settings), usable, settings.threads):
        maps[scene.model.images[i].name] = depth_map
        progress.report(STAGE, len(usable) + len(maps), steps, scene.model.images[i].name)
    metrics = measure(scene.model, scene.views, maps, scene.counts)
    if monocular.model:
        views = {scene.model.images[i].name: _view_of(scene, i, poses, maps) for i in usable}
        maps = monocular.fill(views, settings, lambda k, name: progress.report(STAGE, 2 * len(usable) + k, steps, name))
    _write(workspace, maps)
    in_order = [maps.get(image.name) for image in scene.model.images]
    write_strip(workspace / "previews" / "depth_strip.jpg", scene.pictures, in_order)
    metrics |= {
        "planes": round(float(np.mean([raw[i].planes for i in usable]))),
        "neighbours": round(float(np.mean([len(_swept(scene, i, settings)) for i in usable])), 2),
        "backend": "plane_sweep_cpu",
        "fallback_level": 0,
        **monocular.metrics,
    }
    return DepthMaps(workspace, metrics, Verdict.of([*verdict_of(metrics, settings), *monocular.gates()]))


def _view_of(scene: _Scene, i: int, poses: CameraPoses, maps: dict[str, DepthMap]) -> View:
    """What filling wants to know about image i."""
    image, view = scene.model.images[i], scene.views[i]
    rows, columns, depths = sparse_pixels(scene.model, image, view)
    neighbours = [scene.model.images[j].name for j in scene.neighbours[i]]
    near, far = depth_range(_points_of(scene, i))
    path = poses.image_path(image.name)
    return View(view, path, maps[image.name], scene.counts[i], rows, columns, depths, near, far, neighbours)


def _load(poses: CameraPoses, settings: DepthSettings) -> _Scene:
    import cv2

    model = poses.model()
    views = [fit(pinhole_view(model, image), settings.longest_side) for image in model.images]
    pictures = [read_picture(poses.image_path(i.name), view) for i, view in zip(model.images, views, strict=True)]
    greys = [cv2.cvtColor(p, cv2.COLOR_RGB2GRAY).astype(np.float32) / np.float32(255) for p in pictures]
    counts = [what_counts(poses.mask(i.name), view) for i, view in zip(model.images, views, strict=True)]
    greys = [plain_where_ignored(grey, seen) for grey, seen in zip(greys, counts, strict=True)]
    neighbours = select_neighbours(model, max(settings.neighbours, settings.checks))
    return _Scene(model, views, pictures, greys, counts, neighbours)


def plain_where_ignored(grey: Array, counts: Bools | None) -> Array:
    """(H, W) with the mean of what counts in the place of what does not: without texture nothing correlates, as
    outside of a picture.
    """
    if counts is None or counts.all() or not counts.any():
        return grey
    return np.where(counts, grey, grey[counts].mean()).astype(np.float32)


def _points_of(scene: _Scene, i: int) -> npt.NDArray[np.float64]:
    """Depths (M,) of the sparse points seen in image i that are in front of it."""
    image = scene.model.images[i]
    z = scene.model.xyz[image.point_rows] @ image.rotation[2] + image.translation[2]
    return np.asarray(z[z > 0])


def _swept(scene: _Scene, i: int, settings: DepthSettings) -> list[int]:
    """Neighbours that are matched; one kernel call wants sources of one size."""
    first = scene.greys[scene.neighbours[i][0]].shape
    return [j for j in scene.neighbours[i] if scene.greys[j].shape == first][: settings.neighbours]


def depth_range(depths: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Near and far end of the sweep for the depths (M,) of an image's sparse points.

    A few points are outliers, and surfaces go on beyond the outermost points: percentiles with a margin,
    as a share of the inverse depth, which is what disparity is proportional to.
    """
    low, high = np.percentile(1 / depths, [2, 98])
    margin = 0.15 * (high - low)
    return float(1 / (1.1 * high + margin)), float(1 / max(0.9 * low - margin, 0.4 * low))


def _match(scene: _Scene, i: int, settings: DepthSettings) -> Stereo:
    import cv2

    from reconstruction_pipeline.stages.depth.plane_sweep import WINDOW
    from reconstruction_pipeline.stages.depth.stereo import match

    near, far = depth_range(_points_of(scene, i))
    others = [(scene.views[j], scene.greys[j]) for j in _swept(scene, i, settings)]
    stereo = match(scene.views[i], scene.greys[i], others, near, far, settings.min_planes, settings.max_planes)
    depth = cv2.medianBlur(stereo.depth, 3).astype(np.float32, copy=False)
    if (counts := scene.counts[i]) is not None:
        # A window that touches what is ignored was matched with it.
        depth = np.where(cv2.erode(counts.astype(np.uint8), np.ones((WINDOW, WINDOW), np.uint8)), depth, np.float32(0))
    return stereo._replace(depth=depth)


def _agreed(scene: _Scene, raw: dict[int, Stereo], i: int, settings: DepthSettings) -> DepthMap:
    """What enough neighbours confirm and few look through, without specks."""
    from reconstruction_pipeline.kernels.depth_agreement import agreement

    checks = [j for j in scene.neighbours[i] if j in raw][: settings.checks]
    others = [(raw[j].depth, scene.views[j]) for j in checks]
    agree, through, mean = agreement(raw[i].depth, scene.views[i], others, settings.depth_tolerance)
    needed = min(settings.min_consistent, max(len(checks), 1))
    confirmed = np.where((agree >= needed) & (through <= agree), mean, np.float32(0))
    kept = without_specks(confirmed, settings.depth_tolerance)
    votes = agree / (1.0 + agree + through)
    trust = votes * (0.5 + 0.5 * raw[i].matching) * np.where(beside_an_edge(raw[i].depth), 0.4, 1.0)
    confidence = np.where(kept > 0, trust, 0)
    return DepthMap(kept, confidence.astype(np.float32))


def without_specks(depth: Array, tolerance: float) -> Array:
    """Set to 0 the connected patches that are smaller than SPECKLE_PX; neighbours differ by 2 `tolerance` at most."""
    import cv2

    steps = np.zeros(depth.shape, np.int16)
    known = depth > 0
    # Equal steps of the logarithm are equal relative differences; 0 stays free for "unknown".
    logarithm = np.log(depth[known] / depth[known].min()) if known.any() else depth[known]
    steps[known] = np.minimum(1 + logarithm * (8 / tolerance), 32767).astype(np.int16)
    cv2.filterSpeckles(steps, 0, SPECKLE_PX, 16)
    return np.where(steps > 0, depth, np.float32(0))


def _in_threads(
    work: Callable[[Item], Result], items: Iterable[Item], threads: int | None
) -> Iterator[tuple[Item, Result]]:
    """Results in order; the kernels release the GIL, so that threads share the cores without copies."""
    items = list(items)
    pool = ThreadPoolExecutor(min(threads or os.cpu_count() or 1, MAX_THREADS))
    try:
        yield from zip(items, pool.map(work, items), strict=True)
    finally:
        pool.shutdown(cancel_futures=True)


def _write(workspace: Path, maps: dict[str, DepthMap]) -> None:
    folder = workspace / "depth"
    folder.mkdir(parents=True, exist_ok=True)
    for name, depth_map in maps.items():
        # Uncompressed: depth does not compress well, and reading is on the trainer's clock.
        np.savez(folder / f"{name}.npz", depth=depth_map.depth, confidence=depth_map.confidence.astype(np.float16))
