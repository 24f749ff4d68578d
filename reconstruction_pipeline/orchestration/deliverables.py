"""`<storage>/deliverables/<key>/`: the files people take away, gathered from the stored artifacts."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path

from upath import UPath

from reconstruction_pipeline.artifacts import Artifact
from reconstruction_pipeline.artifacts.keys import require_safe_key

# Deliverable (a file, or a folder with everything below it) -> the asset and path it is copied from.
CONTENTS: Mapping[str, tuple[str, str]] = {
    "scene.ply": ("gaussian_splats", "scene.ply"),
    "scene.sog": ("compressed_splats", "scene.sog"),
    "scene.spz": ("compressed_splats", "scene.spz"),
    "scene.glb": ("compressed_splats", "scene.glb"),
    "viewer.html": ("compressed_splats", "viewer.html"),
    "mesh.glb": ("mesh", "mesh.glb"),
    "mesh.ply": ("mesh", "mesh.ply"),
    "mesh.obj": ("mesh", "mesh.obj"),
    "colmap/images": ("camera_poses", "images"),
    "colmap/sparse": ("camera_poses", "sparse"),
    "transforms.json": ("camera_poses", "transforms.json"),
    "report.html": ("scene_report", "report.html"),
    "metrics.json": ("scene_report", "metrics.json"),
}


def available(artifacts: Mapping[str, Artifact]) -> list[str]:
    """The deliverables that these artifacts hold."""
    return [
        name
        for name, (asset, path) in CONTENTS.items()
        if asset in artifacts and artifacts[asset].path(*path.split("/")).exists()
    ]


def deliver(root: str, key: str, artifacts: Mapping[str, Artifact]) -> UPath:
    """Replace the deliverables of a video by what these artifacts hold; returns the folder.

    A local folder is built aside and swapped in; a killed run leaves the old one or the new one.
    """
    target = UPath(root) / "deliverables" / require_safe_key(key)
    if target.protocol in ("", "file", "local"):
        _swap_in(Path(target.path), artifacts)
        return target
    if target.exists():
        target.fs.rm(target.path, recursive=True)
    for name in available(artifacts):
        asset, path = CONTENTS[name]
        source = artifacts[asset].path(*path.split("/"))
        suffix = "/" if source.is_dir() else ""
        target.fs.put(f"{source}{suffix}", f"{(target / name).path}{suffix}", recursive=source.is_dir())
    return target


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
        else:
            shutil.copyfile(source, destination)
