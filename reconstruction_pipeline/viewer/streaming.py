"""The page of a streamed scene: `index.html` beside `lod-meta.json`, for any static host."""

from __future__ import annotations

import html
import re
from pathlib import Path

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.artifacts.colmap import ColmapModel
from reconstruction_pipeline.artifacts.errors import InvalidArtifact
from reconstruction_pipeline.viewer.camera_path import FRAME_RATE, TO_VIEWER, CameraPath, captured_path
from reconstruction_pipeline.viewer.limits import Limits, limits_of
from reconstruction_pipeline.viewer.page import body, module, script_json, view_of, viewer_settings
from reconstruction_pipeline.viewer.vendor import template

NAME = "index.html"
CONTENT = "lod-meta.json"
OFFLINE_POLICY, HOSTED_POLICY = "connect-src data: blob:", "connect-src 'self' data: blob:"
HALF_VIEW = 0.5
"""Tangent of half the field of view of the path around a scene that nobody says how it was filmed."""


def write_streaming_page(folder: Path, model: ColmapModel, title: str, note: str = "") -> Path:
    """Write `folder/index.html`, which loads `lod-meta.json` beside it and starts at a captured view.

    It fetches from its own folder and from nowhere else. Raises `MissingRequirement` when the viewer is not installed
    and `InvalidArtifact` when the model has no images.
    """
    if not model.images:
        raise InvalidArtifact(f"{folder}: the camera model has no images, so the viewer has no view to start at.")
    return _write(folder, captured_path(model), limits_of(model), title, note)


def write_streaming_page_around(folder: Path, means: npt.NDArray[np.float32], title: str, note: str = "") -> Path:
    """The same for a scene without cameras: the visitor starts in front of the middle of `means` (N, 3), y-down."""
    middle = np.median(means.astype(np.float64), axis=0)
    away = np.linalg.norm(means - middle, axis=1)
    reach = 2.0 * max(float(np.quantile(away, 0.8)), 1e-6)
    # A quarter of a turn about the vertical, from as high as the middle.
    turns = np.linspace(-np.pi / 4, np.pi / 4, 9)
    steps = reach * np.stack([np.sin(turns), np.zeros(9), -np.cos(turns)], axis=1)
    path = CameraPath(
        (middle + steps) * TO_VIEWER,
        np.repeat((middle * TO_VIEWER)[None], 9, axis=0),
        np.full((9, 2), HALF_VIEW),
        np.linspace(0.0, 10.0 * FRAME_RATE, 9),
        start=4,
    )
    lowest = float(means[:, 1].max())  # y-down
    return _write(folder, path, Limits(2.0 * reach, -lowest, reach, orbit=True), title, note)


def _write(folder: Path, path: CameraPath, limits: Limits, title: str, note: str) -> Path:
    page = template()
    if page.count(OFFLINE_POLICY) != 1:
        raise InvalidArtifact("The installed viewer's page has another policy than expected; install the viewer again.")
    page = page.replace(OFFLINE_POLICY, HOSTED_POLICY)
    bootstrap = {"settings": viewer_settings(path), "contentUrl": f"./{CONTENT}", "contentFilename": CONTENT}
    view = view_of(path, limits, parts=0, paused=True)
    page = page.replace("@@TITLE@@", html.escape(title), 1)
    page = page.replace("<!--@@HEAD@@-->", module("before_start.js", view), 1)
    page = page.replace('"@@BOOTSTRAP@@"', script_json(bootstrap), 1)
    before, middle, after = re.split("<!--@@(?:BODY|SCENE)@@-->", page)
    target = folder / NAME
    target.write_text("".join((before, body(title, note), middle, module("after_start.js", view), after)), "utf-8")
    return target
