"""The folder that another tool wants, from camera poses of ours. The world stays ours: y-down."""

from __future__ import annotations

import json
import shutil
import uuid
from pathlib import Path

import numpy as np

from reconstruction_pipeline.artifacts.camera_poses import CameraPoses
from reconstruction_pipeline.artifacts.colmap import ColmapModel, write_model
from reconstruction_pipeline.artifacts.errors import UsageError
from reconstruction_pipeline.stages.poses.transforms import transforms_json

# OpenSplat reads a COLMAP project, and prefers a transforms.json without looking further, so it gets none.
TOOLS = ("colmap", "nerfstudio", "opensplat")
POINTS = "sparse_pc.ply"


def export_poses(poses: CameraPoses, tool: str, out: Path) -> int:
    """Write the undistorted pictures and poses as `tool` reads them into the new or empty folder `out`.

    colmap, opensplat: `images/`, `sparse/0/*.bin` (PINHOLE), and `masks/<image name>.png` where there are masks.
    nerfstudio: `images/`, `transforms.json`, the points as `sparse_pc.ply`, and `masks/` named per frame.
    Returns the number of images. Raises `UsageError` for another tool or a folder that holds something.
    """
    if tool not in TOOLS:
        raise UsageError(f"'{tool}' is not known; choose {', '.join(TOOLS[:-1])} or {TOOLS[-1]}.")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out}: is not empty; choose another --out, or remove it.")
    model = poses.model()
    partial = out.with_name(f".{out.name}.{uuid.uuid4().hex[:8]}")
    try:
        _copy_pictures(poses, model, partial)
        if tool == "nerfstudio":
            _write_nerfstudio(poses, model, partial)
        else:
            write_model(partial / "sparse" / "0", model)
        if out.exists():
            out.rmdir()
        partial.rename(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return len(model.images)


def _copy_pictures(poses: CameraPoses, model: ColmapModel, folder: Path) -> None:
    for image in model.images:
        target = folder / "images" / image.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(poses.image_path(image.name), target)
        if mask := poses.mask_path(image.name):
            target = folder / "masks" / f"{image.name}.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(mask, target)


def _write_nerfstudio(poses: CameraPoses, model: ColmapModel, folder: Path) -> None:
    document = transforms_json(model) | {"ply_file_path": POINTS}
    for frame, image in zip(document["frames"], model.images, strict=True):
        if poses.mask_path(image.name):
            frame["mask_path"] = f"masks/{image.name}.png"
    (folder / "transforms.json").write_text(json.dumps(document, indent=1) + "\n")
    vertices = np.empty(len(model.xyz), [(a, "<f4") for a in "xyz"] + [(c, "u1") for c in ("red", "green", "blue")])
    for column, name in enumerate("xyz"):
        vertices[name] = model.xyz[:, column]
    for column, name in enumerate(("red", "green", "blue")):
        vertices[name] = model.rgb[:, column]
    from plyfile import PlyData, PlyElement

    PlyData([PlyElement.describe(vertices, "vertex")]).write(str(folder / POINTS))
