"""Depth that was measured between the pictures, beside the depth of the Gaussians: it is finer, and knows less."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.artifacts.colmap import ColmapModel
from reconstruction_pipeline.artifacts.depth_maps import DepthMaps
from reconstruction_pipeline.artifacts.views import fit, pinhole_view
from reconstruction_pipeline.stages.mesh.plain import NEAREST_PX, flatten, plainness, without_evidence
from reconstruction_pipeline.stages.mesh.rendered_depth import SurfaceView, viewing_cosine
from reconstruction_pipeline.stages.mesh.settings import MeshSettings

Floats = npt.NDArray[np.float32]

MIN_CONFIDENCE = 0.5
CORRECTED_PX = 4.0
"""Measured depth that differs from the rendered is smoothed over this."""
PLAIN = 0.5
"""From this `plainness` on, the depth of Gaussians gives way to a flat one where nothing was measured."""


def measured_surfaces(depth_maps: DepthMaps, model: ColmapModel, settings: MeshSettings) -> list[SurfaceView | None]:
    """Per image, its map where it is sure and not seen at a flat angle; None for images without a map."""
    known, surfaces = set(depth_maps.names()), list[SurfaceView | None]()
    for image in model.images:
        if image.name not in known:
            surfaces.append(None)
            continue
        depth, confidence = depth_maps.load(image.name)
        view = fit(pinhole_view(model, image), max(depth.shape))
        sure = np.where(confidence >= MIN_CONFIDENCE, depth, 0).astype(np.float32)
        cosine = viewing_cosine(sure, view)
        surfaces.append(SurfaceView(np.where(cosine >= settings.min_cosine, sure, 0).astype(np.float32), cosine, view))
    return surfaces


def evened_out(
    surfaces: list[SurfaceView], measured: list[SurfaceView | None], pictures: list[npt.NDArray[np.uint8]],
    settings: MeshSettings, report: Callable[[float], None],
) -> list[SurfaceView]:  # fmt: skip
    """Rendered depth, made flat where nothing was measured and the pictures (H, W, 3) are plain; see `plain`.

    A view without measured depth stays as it is: what is plain there is not known.
    """
    result: list[SurfaceView] = []
    with ThreadPoolExecutor(settings.threads or os.cpu_count() or 1) as pool:
        jobs = list(zip(surfaces, measured, pictures, strict=True))
        work = pool.map(lambda job: _evened(job[0], job[1], job[2], settings), jobs)
        for done, surface in enumerate(work, start=1):
            result.append(surface)
            report(done / len(surfaces))
    return result


def confirmed(
    measured: list[SurfaceView | None], surfaces: list[SurfaceView], settings: MeshSettings
) -> list[SurfaceView]:
    """The maps, for those views that have one, where the views' `surfaces` are within twice the tolerance: two layers
    side by side would be torn apart.
    """
    import cv2

    kept = []
    for known, surface in zip(measured, surfaces, strict=True):
        if known is None:
            continue
        size = (known.view.width, known.view.height)
        other = cv2.resize(surface.depth, size, interpolation=cv2.INTER_NEAREST)
        close = np.abs(other - known.depth) < 2 * settings.depth_tolerance * known.depth
        kept.append(known._replace(depth=np.where(close, known.depth, 0).astype(np.float32)))
    return kept


def _evened(
    surface: SurfaceView, measured: SurfaceView | None, picture: npt.NDArray[np.uint8], settings: MeshSettings
) -> SurfaceView:
    import cv2

    if measured is None or surface.opaque is None:
        return surface
    rendered, view = surface.depth, surface.view
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32) / np.float32(255)
    plain = plainness(grey)
    found = cv2.resize(measured.depth, (view.width, view.height), interpolation=cv2.INTER_NEAREST)
    both = (found > 0) & (rendered > 0)
    confirmed = both & (np.abs(found - rendered) < settings.depth_tolerance * rendered)
    reach = NEAREST_PX + (settings.plain_reach * max(grey.shape) - NEAREST_PX) * plain
    reach = np.where(confirmed, NEAREST_PX, np.where(found > 0, CORRECTED_PX, reach)).astype(np.float32)
    data = np.where((found > 0) & ~confirmed, found, rendered)
    flat = flatten(data, reach, surface.opaque, grey)
    cosine = viewing_cosine(flat, view)
    # Not where the rendered depth is good, and not where it comes out as a ramp from one surface to another.
    as_it_was = confirmed | ((rendered > 0) & ((plain < PLAIN) | (cosine < settings.min_cosine)))
    depth, cosine = np.where(as_it_was, rendered, flat), np.where(as_it_was, surface.cosine, cosine)
    kept = (cosine >= settings.min_cosine) & ~without_evidence(grey, found > 0)
    return surface._replace(depth=np.where(kept, depth, 0).astype(np.float32), cosine=cosine.astype(np.float32))
