"""Writing `viewer.html`: the installed viewer page with one scene put into it."""

from __future__ import annotations

import base64
import html
import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from reconstruction_pipeline.artifacts.colmap import ColmapModel
from reconstruction_pipeline.artifacts.errors import InvalidArtifact
from reconstruction_pipeline.viewer.camera_path import FRAME_RATE, CameraPath, captured_path
from reconstruction_pipeline.viewer.limits import Limits, limits_of
from reconstruction_pipeline.viewer.vendor import template

HERE = Path(__file__).parent
PART_BYTES = 3 * 2**17
"""The scene is in the page in parts of this size, so that its progress can be shown; a multiple of 3 for base64."""

NO_GRADE = '<span id="scene-grade"></span>'


def write_viewer(
    path: Path, sog_path: Path, model: ColmapModel, title: str, note: str = "", *, autoplay: bool = False
) -> None:
    """Write one HTML file that shows `sog_path` offline, starting at a captured camera that shows much of the scene.

    `title` and `note` (e.g. "61,234 splats") are plain text for the page's corner; `with_grade` adds the grade. The
    captured path is the timeline, paused unless `autoplay`. Visitors are kept within `Limits`. Raises
    `MissingRequirement` when the viewer is not installed and `InvalidArtifact` when the model has no images.
    """
    if not model.images:
        raise InvalidArtifact(f"{path}: the camera model has no images, so the viewer has no view to start at.")
    page = template()
    camera_path = captured_path(model)
    bootstrap = {
        "settings": viewer_settings(camera_path),
        # The scene is handed over by the page; the viewer asks for nothing but the name that tells its format.
        "contentUrl": "data:application/octet-stream;base64,",
        "contentFilename": "scene.sog",
    }
    parts = list(_parts(sog_path.read_bytes()))
    view = view_of(camera_path, limits_of(model), parts=len(parts), paused=not autoplay)
    page = page.replace("@@TITLE@@", html.escape(title), 1)
    page = page.replace("<!--@@HEAD@@-->", module("before_start.js", view), 1)
    page = page.replace('"@@BOOTSTRAP@@"', script_json(bootstrap), 1)
    # Put together rather than replaced: what a title or a scene says can then never be taken for a mark.
    before, middle, after = re.split("<!--@@(?:BODY|SCENE)@@-->", page)
    with path.open("w", encoding="utf-8") as file:
        file.writelines((before, body(title, note), middle))
        file.writelines(parts)
        file.writelines((module("after_start.js", view), after))


def with_grade(page: str, grade: str) -> str:
    """The text of a `viewer.html` with the scene's grade ("A" … "F") in its note; it may be graded only once."""
    letter = html.escape(grade)
    return page.replace(NO_GRADE, f'<span id="scene-grade" data-grade="{letter}">Grade {letter}</span>', 1)


def viewer_settings(camera_path: CameraPath) -> dict[str, Any]:
    """The viewer's settings (schema version 2): start, timeline, dark background, untouched colours.

    Fields of view are those of a window shaped like the photographs; the page adapts them to the real one.
    """
    fovs = [_degrees(max(tangents)) for tangents in camera_path.half_tangents.tolist()]
    positions, targets, start = camera_path.positions, camera_path.targets, camera_path.start
    track = {
        "name": "captured path",
        "duration": camera_path.duration_s,
        "frameRate": FRAME_RATE,
        "loopMode": "pingpong",
        "interpolation": "spline",
        "smoothness": 1,
        "keyframes": {
            "times": camera_path.times.tolist(),
            "values": {"position": positions.ravel().tolist(), "target": targets.ravel().tolist(), "fov": fovs},
        },
    }
    initial = {"position": positions[start].tolist(), "target": targets[start].tolist(), "fov": fovs[start]}
    return {
        "version": 2,
        "tonemapping": "none",
        "highPrecisionRendering": False,
        "background": {"color": [0, 0, 0]},
        "postEffectSettings": {
            "sharpness": {"enabled": False, "amount": 0},
            "bloom": {"enabled": False, "intensity": 0.1, "blurLevel": 2},
            "grading": {"enabled": False, "brightness": 1, "contrast": 1, "saturation": 1, "tint": [1, 1, 1]},
            "vignette": {"enabled": False, "intensity": 0.5, "inner": 0.3, "outer": 0.75, "curvature": 1},
            "fringing": {"enabled": False, "intensity": 0.5},
        },
        "animTracks": [track],
        "cameras": [{"initial": initial}],
        "annotations": [],
        # The viewer plays a track only when it starts with it.
        "startMode": "animTrack",
    }


def view_of(camera_path: CameraPath, limits: Limits, *, parts: int, paused: bool) -> dict[str, Any]:
    """What our own scripts need to know."""
    return {
        "lens": camera_path.half_tangents.tolist(),
        "start": camera_path.start,
        "startSeconds": camera_path.start_s,
        "paused": paused,
        "parts": parts,
        "places": camera_path.positions.tolist(),
        "room": limits.room,
        "floor": limits.floor,
        "reach": limits.reach,
        "orbit": limits.orbit,
    }


def body(title: str, note: str) -> str:
    """The note in the corner and the progress bar."""
    before, between, after = re.split("@@(?:NAME|NOTE)@@", (HERE / "page_body.html").read_text(encoding="utf-8"))
    return "".join((before, html.escape(title), between, html.escape(note), after))


def _parts(content: bytes) -> Iterator[str]:
    """A script per part of the scene; base64 holds nothing that ends a string or a script."""
    total = -(-len(content) // PART_BYTES)
    for start in range(0, len(content), PART_BYTES):
        part = base64.b64encode(content[start : start + PART_BYTES]).decode()
        yield f'<script>scene.add("{part}", {total})</script>\n'


def module(name: str, view: dict[str, Any]) -> str:
    """One of our scripts with the view in it; modules run in their order, once the whole page has arrived."""
    script = (HERE / name).read_text(encoding="utf-8").replace("/*@@VIEW@@*/ {}", script_json(view), 1)
    return f'<script type="module">\n{script}</script>'


def script_json(value: Any) -> str:
    """JSON that no HTML parser takes for markup (ASCII only, every `<` escaped)."""
    return json.dumps(value, allow_nan=False).replace("<", "\\u003c")


def _degrees(tangent: float) -> float:
    return min(120.0, max(10.0, math.degrees(2.0 * math.atan(tangent))))
