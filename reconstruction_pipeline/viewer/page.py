"""Writing `viewer.html`: the installed viewer page with one scene put into it."""

from __future__ import annotations

import base64
import html
import json
from pathlib import Path
from typing import Any

from reconstruction_pipeline.artifacts.colmap import ColmapModel
from reconstruction_pipeline.artifacts.errors import InvalidArtifact
from reconstruction_pipeline.viewer.camera_path import FRAME_RATE, CameraPath, captured_path
from reconstruction_pipeline.viewer.vendor import template

NOTE_STYLE = (
    "position:fixed;left:12px;top:10px;z-index:10;pointer-events:none;color:#ddd;"
    "font:13px/1.4 system-ui,sans-serif;text-shadow:0 0 4px #000"
)


def write_viewer(
    path: Path, sog_path: Path, model: ColmapModel, title: str, note: str = "", *, autoplay: bool = False
) -> None:
    """Write one HTML file that shows `sog_path` offline, starting at the first captured camera.

    `title` and `note` (e.g. "61,234 splats, grade B") are plain text for the page's corner. The captured
    path is the timeline, paused at its start unless `autoplay`. Raises `MissingRequirement` when the viewer
    is not installed and `InvalidArtifact` when the model has no images.
    """
    if not model.images:
        raise InvalidArtifact(f"{path}: the camera model has no images, so the viewer has no view to start at.")
    page = template()
    camera_path = captured_path(model)
    content = base64.b64encode(sog_path.read_bytes()).decode()
    bootstrap = {
        "settings": viewer_settings(camera_path),
        "contentUrl": f"data:application/octet-stream;base64,{content}",
        "contentFilename": "scene.sog",
    }
    caption = html.escape(title) + (f"<br>{html.escape(note)}" if note else "")
    # The scene goes in last: what a title says can then never be taken for a mark.
    page = page.replace("@@TITLE@@", html.escape(title), 1)
    page = page.replace("<!--@@BODY@@-->", f'<div id="scene-note" style="{NOTE_STYLE}">{caption}</div>', 1)
    page = page.replace("<!--@@HEAD@@-->", f'<script type="module">\n{_script(camera_path, autoplay)}</script>', 1)
    page = page.replace('"@@BOOTSTRAP@@"', _script_json(bootstrap), 1)
    path.write_text(page, encoding="utf-8")


def viewer_settings(camera_path: CameraPath) -> dict[str, Any]:
    """The viewer's settings (schema version 2): start, timeline, dark background, untouched colours.

    Fields of view are those of a window shaped like the photographs; the page adapts them to the real one.
    """
    fovs = [_degrees(max(tangents)) for tangents in camera_path.half_tangents.tolist()]
    positions, targets = camera_path.positions, camera_path.targets
    start = {"position": positions[0].tolist(), "target": targets[0].tolist(), "fov": fovs[0]}
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
        "cameras": [{"initial": start}],
        "annotations": [],
        # The viewer plays a track only when it starts with it.
        "startMode": "animTrack",
    }


def _script(camera_path: CameraPath, autoplay: bool) -> str:
    script = (Path(__file__).parent / "page_script.js").read_text(encoding="utf-8")
    script = script.replace("/*@@LENS@@*/ []", _script_json(camera_path.half_tangents.tolist()), 1)
    return script.replace("/*@@PAUSED@@*/ true", _script_json(not autoplay), 1)


def _script_json(value: Any) -> str:
    """JSON that no HTML parser takes for markup (ASCII only, every `<` escaped)."""
    return json.dumps(value, allow_nan=False).replace("<", "\\u003c")


def _degrees(tangent: float) -> float:
    from math import atan, degrees

    return min(120.0, max(10.0, degrees(2.0 * atan(tangent))))
