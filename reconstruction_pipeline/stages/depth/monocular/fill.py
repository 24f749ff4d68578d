"""From a network's maps to depth where several views could not agree: align, check, fill, and say how much.

What is filled counts less than what several views measured: `CONFIRMED` where other views' depth agrees with it,
just enough to start Gaussians from and to train on, and `ALONE`, too little for either, where nothing speaks
against it. Where other views see through it there is no depth.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.artifacts.depth_maps import DepthMap
from reconstruction_pipeline.artifacts.views import read_picture
from reconstruction_pipeline.stages.depth.edges import beside_an_edge
from reconstruction_pipeline.stages.depth.monocular.alignment import Alignment, align, is_distance
from reconstruction_pipeline.stages.depth.settings import DepthSettings

if TYPE_CHECKING:
    from reconstruction_pipeline.kernels.camera import PinholeView
    from reconstruction_pipeline.stages.depth.monocular.session import DepthModel

Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]

CONFIRMED = 0.55
"""Confidence of filled depth that other views agree with; training and dense points ask for 0.5."""
ALONE = 0.25
"""Confidence of filled depth that no view speaks against."""
NEEDED_VIEWS = 2
"""Views that must agree, of which any may be monocular itself; fewer where an image has fewer neighbours."""


class View(NamedTuple):
    """What filling reads of one image; the map, the mask and the sparse points are of the size of `camera`.

    `measured`: multi-view depth; `counts` (H, W) or None; `rows`, `columns`, `depths` (M,) of the sparse points;
    `near`, `far`: where depth is believed; `neighbours`: names, the best first.
    """

    camera: PinholeView
    picture: Path
    measured: DepthMap
    counts: Bools | None
    rows: npt.NDArray[np.intp]
    columns: npt.NDArray[np.intp]
    depths: npt.NDArray[np.float64]
    near: float
    far: float
    neighbours: Sequence[str]


class Filling(NamedTuple):
    """`maps` of all views, and figures for the metrics."""

    maps: dict[str, DepthMap]
    metrics: dict[str, Any]


def predict_maps(model: DepthModel, views: Mapping[str, View], done: Callable[[str], None]) -> dict[str, Floats]:
    """The network's map of every view, at the size of its camera. Raises InvalidArtifact (the network fails)."""
    import cv2

    maps: dict[str, Floats] = {}
    for name, view in views.items():
        width, height = view.camera.width, view.camera.height
        picture = read_picture(view.picture, view.camera.scaled(*model.input_size(width, height)))
        found = cv2.resize(model.predict(picture), (width, height), interpolation=cv2.INTER_LINEAR)
        maps[name] = np.asarray(found, np.float32)
        done(name)
    return maps


def fill_gaps(views: Mapping[str, View], predicted: Mapping[str, Floats], settings: DepthSettings) -> Filling:
    """The multi-view maps with their gaps filled from `predicted` (H, W), aligned image by image."""
    samples = {name: predicted[name][view.rows, view.columns].astype(float) for name, view in views.items()}
    votes = [is_distance(samples[name], view.depths) for name, view in views.items()]
    distance = 2 * sum(votes) > len(votes)
    fits: dict[str, Alignment] = {}
    aligned: dict[str, Floats] = {}
    for name, view in views.items():
        at_points = _inverse(samples[name]) if distance else samples[name]
        fit = align(at_points, view.depths, settings.monocular_residual, settings.monocular_min_inliers)
        fits[name] = fit
        if not fit.refusal:
            everywhere = _inverse(predicted[name]) if distance else predicted[name].astype(float)
            aligned[name] = _usable(fit.scale * everywhere + fit.shift, view)
    known = {
        name: np.where(view.measured.depth > 0, view.measured.depth, aligned.get(name, np.float32(0)))
        for name, view in views.items()
    }
    maps = {name: _filled(name, views, known, settings) if name in aligned else views[name].measured for name in views}
    added = [float(np.mean((maps[n].depth > 0) & (view.measured.depth == 0))) for n, view in views.items()]
    believed = [
        float(np.mean((maps[n].confidence >= CONFIRMED) & (view.measured.depth == 0))) for n, view in views.items()
    ]
    refusals = [fit.refusal for fit in fits.values() if fit.refusal]
    residuals = [fit.residual for fit in fits.values() if not fit.refusal]
    metrics = {
        "monocular_images": len(aligned),
        "monocular_rejected": len(refusals),
        "monocular_first_refusal": refusals[0] if refusals else "",
        "monocular_filled_share": round(float(np.mean(added)), 4),
        "monocular_confirmed_share": round(float(np.mean(believed)), 4),
        "monocular_residual": round(float(np.median(residuals)), 4) if residuals else None,
        "monocular_predicts": "distance" if distance else "inverse depth",
    }
    return Filling(maps, metrics)


def _inverse(values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    return np.asarray(1 / np.where(values > 0, values.astype(float), np.inf))


def _usable(inverse: npt.NDArray[np.float64], view: View) -> Floats:
    """Depth (H, W) of an aligned map between the view's near and far, away from edges, where the picture counts.

    Networks smear edges over a few pixels; and beyond the sparse points a fit is extrapolation.
    """
    inside = np.isfinite(inverse) & (inverse <= 1 / view.near) & (inverse >= 1 / view.far)
    depth = np.where(inside, 1 / np.where(inside, inverse, 1), 0).astype(np.float32)
    kept = (depth > 0) & ~beside_an_edge(depth)
    if view.counts is not None:
        kept &= view.counts
    return np.where(kept, depth, np.float32(0))


def _filled(name: str, views: Mapping[str, View], known: Mapping[str, Floats], settings: DepthSettings) -> DepthMap:
    from reconstruction_pipeline.kernels.depth_agreement import agreement

    view = views[name]
    gaps = (view.measured.depth == 0) & (known[name] > 0)
    checks = [other for other in view.neighbours if other in views][: settings.checks]
    agree, through, _ = agreement(
        known[name], view.camera, [(known[n], views[n].camera) for n in checks], settings.monocular_tolerance
    )
    kept = gaps & (through <= agree)
    trust = np.where(agree >= min(NEEDED_VIEWS, max(len(checks), 1)), np.float32(CONFIRMED), np.float32(ALONE))
    return DepthMap(
        np.where(kept, known[name], view.measured.depth),
        np.where(kept, trust, view.measured.confidence).astype(np.float32),
    )
