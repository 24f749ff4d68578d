"""`<storage>/deliverables/<key>/`: the files people take away, gathered from the stored artifacts.

`<storage>/deliverables/index.html` shows them all; it is rebuilt whenever a scene is delivered.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path

from upath import UPath

from reconstruction_pipeline.artifacts import Artifact, SceneReport
from reconstruction_pipeline.artifacts.keys import require_safe_key
from reconstruction_pipeline.gallery import refresh_gallery
from reconstruction_pipeline.viewer import with_grade

# Deliverable (a file, or a folder with everything below it) -> the asset and path it is copied from.
CONTENTS: Mapping[str, tuple[str, str]] = {
    "scene.ply": ("gaussian_splats", "scene.ply"),
    "scene.sog": ("compressed_splats", "scene.sog"),
    "scene.spz": ("compressed_splats", "scene.spz"),
    "scene.glb": ("compressed_splats", "scene.glb"),
    "streamed": ("compressed_splats", "streamed"),
    "viewer.html": ("compressed_splats", "viewer.html"),
    "mesh.glb": ("mesh", "mesh.glb"),
    "mesh.ply": ("mesh", "mesh.ply"),
    "mesh.obj": ("mesh", "mesh.obj"),
    "mesh.mtl": ("mesh", "mesh.mtl"),
    "mesh.jpg": ("mesh", "mesh.jpg"),
    "mesh.usdz": ("mesh", "mesh.usdz"),
    "colmap/images": ("camera_poses", "images"),
    "colmap/sparse": ("camera_poses", "sparse"),
    "transforms.json": ("camera_poses", "transforms.json"),
    "report.html": ("scene_report", "report.html"),
    "metrics.json": ("scene_report", "metrics.json"),
    "thumbnail.jpg": ("scene_report", "thumbnail.jpg"),
}


def available(artifacts: Mapping[str, Artifact]) -> list[str]:
    """The deliverables that these artifacts hold."""
    return [
        name
        for name, (asset, path) in CONTENTS.items()
        if asset in artifacts and artifacts[asset].path(*path.split("/")).exists()
    ]


def deliver(root: str, key: str, artifacts: Mapping[str, Artifact]) -> UPath:
    """Replace the deliverables of a video by what these artifacts hold, and refresh the gallery; returns the folder.

    A local folder is built aside and swapped in; a killed run leaves the old one or the new one.
    """
    target = UPath(root) / "deliverables" / require_safe_key(key)
    if target.protocol in ("", "file", "local"):
        _swap_in(Path(target.path), artifacts)
    else:
        _upload(target, artifacts)
    refresh_gallery(target.parent)
    return target


def _upload(target: UPath, artifacts: Mapping[str, Artifact]) -> None:
    if target.exists():
        target.fs.rm(target.path, recursive=True)
    for name in available(artifacts):
        asset, path = CONTENTS[name]
        source = artifacts[asset].path(*path.split("/"))
        if name == "viewer.html":
            (target / name).write_text(_viewer(source, artifacts), encoding="utf-8")
            continue
        suffix = "/" if source.is_dir() else ""
        target.fs.put(f"{source}{suffix}", f"{(target / name).path}{suffix}", recursive=source.is_dir())


def _viewer(source: Path, artifacts: Mapping[str, Artifact]) -> str:
    """The viewer's page with the grade, which was not known yet when the page was made."""
    page, report = source.read_text(encoding="utf-8"), artifacts.get(SceneReport.KIND)
    return with_grade(page, str(report.metrics["grade"])) if report else page


def _swap_in(target: Path, artifacts: Mapping[str, Artifact]) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    token = uuid.uuid4().hex[:8]
    fresh, old = target.with_name(f".{target.name}.{token}.new"), target.with_name(f".{target.name}.{token}.old")
    try:
        copy_contents(fresh, artifacts)
        if target.exists():
            target.rename(old)
        fresh.rename(target)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def copy_contents(folder: Path, artifacts: Mapping[str, Artifact]) -> None:
    """Copy every available deliverable into a new local folder."""
    folder.mkdir(parents=True)
    for name in available(artifacts):
        asset, path = CONTENTS[name]
        source, destination = artifacts[asset].path(*path.split("/")), folder / name
        destination.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, destination)
        elif name == "viewer.html":
            destination.write_text(_viewer(source, artifacts), encoding="utf-8")
        else:
            shutil.copyfile(source, destination)
