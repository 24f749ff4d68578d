"""The folder that another tool wants, from camera poses of ours. The world stays ours: y-down."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from types import MappingProxyType

import numpy as np

from reconstruction_pipeline.artifacts.camera_poses import CameraPoses
from reconstruction_pipeline.artifacts.colmap import ColmapModel, write_model
from reconstruction_pipeline.artifacts.errors import UsageError
from reconstruction_pipeline.stages.poses.agisoft import agisoft_xml
from reconstruction_pipeline.stages.poses.transforms import transforms_json

POINTS = "sparse_pc.ply"
MASKS = "masks"


@dataclass(frozen=True)
class Tool:
    """What a tool reads beside `images/`.

    `write`: writes the poses into the folder, which holds the pictures and masks. `mask`: name of an image's mask in
    `masks/`, with {name} and {stem}. `flat`: it wants all pictures in one folder, known by their names alone.
    """

    write: Callable[[ColmapModel, Path], None]
    mask: str = "{name}.png"
    flat: bool = False

    def mask_of(self, image_name: str) -> str:
        """Path of an image's mask, relative to the folder."""
        stem = str(PurePosixPath(image_name).with_suffix(""))
        return f"{MASKS}/{self.mask.format(name=image_name, stem=stem)}"


def export_poses(poses: CameraPoses, tool: str, out: Path) -> int:
    """Write the undistorted pictures and poses as `tool` reads them into the new or empty folder `out`.

    colmap, opensplat: `images/`, `sparse/0/*.bin` (PINHOLE), and `masks/<image name>.png` where there are masks.
    postshot: the same, but a mask has its picture's name.
    nerfstudio: `images/`, `transforms.json`, the points as `sparse_pc.ply`, and `masks/` named per frame.
    metashape: `images/`, `cameras.xml`, the points as `sparse_pc.ply`, and `masks/<picture>_mask.png`.
    Returns the number of images. Raises `UsageError` for another tool or a folder that holds something.
    """
    if tool not in TOOLS:
        *first, last = TOOLS
        raise UsageError(f"'{tool}' is not known; choose {', '.join(first)} or {last}.")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out}: is not empty; choose another --out, or remove it.")
    model, how = poses.model(), TOOLS[tool]
    names = _names(model, how.flat)
    partial = out.with_name(f".{out.name}.{uuid.uuid4().hex[:8]}")
    try:
        for name, called in names.items():
            _copy(poses.image_path(name), partial / "images" / called)
            if mask := poses.mask_path(name):
                _copy(mask, partial / how.mask_of(called))
        images = tuple(replace(image, name=names[image.name]) for image in model.images)
        how.write(replace(model, images=images), partial)
        if out.exists():
            out.rmdir()
        partial.rename(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return len(model.images)


def _names(model: ColmapModel, flat: bool) -> dict[str, str]:
    """What each picture is called in the folder."""
    if not flat:
        return {image.name: image.name for image in model.images}
    names = {image.name: image.name.replace("/", "_") for image in model.images}
    if len({PurePosixPath(name).stem for name in names.values()}) < len(names):
        raise UsageError("two pictures differ in their folder or ending alone, which this tool cannot tell apart.")
    return names


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _write_colmap(model: ColmapModel, folder: Path) -> None:
    write_model(folder / "sparse" / "0", model)


def _write_nerfstudio(model: ColmapModel, folder: Path) -> None:
    document = transforms_json(model) | {"ply_file_path": POINTS}
    for frame, image in zip(document["frames"], model.images, strict=True):
        mask = TOOLS["nerfstudio"].mask_of(image.name)
        if (folder / mask).exists():
            frame["mask_path"] = mask
    (folder / "transforms.json").write_text(json.dumps(document, indent=1) + "\n")
    _write_points(model, folder / POINTS)


def _write_metashape(model: ColmapModel, folder: Path) -> None:
    (folder / "cameras.xml").write_text(agisoft_xml(model))
    _write_points(model, folder / POINTS)


def _write_points(model: ColmapModel, path: Path) -> None:
    vertices = np.empty(len(model.xyz), [(a, "<f4") for a in "xyz"] + [(c, "u1") for c in ("red", "green", "blue")])
    for column, name in enumerate("xyz"):
        vertices[name] = model.xyz[:, column]
    for column, name in enumerate(("red", "green", "blue")):
        vertices[name] = model.rgb[:, column]
    from plyfile import PlyData, PlyElement

    PlyData([PlyElement.describe(vertices, "vertex")]).write(str(path))


TOOLS: Mapping[str, Tool] = MappingProxyType(
    {
        "colmap": Tool(_write_colmap),
        "nerfstudio": Tool(_write_nerfstudio),
        # Prefers a transforms.json to a COLMAP project without looking further, so it gets none.
        "opensplat": Tool(_write_colmap),
        "postshot": Tool(_write_colmap, mask="{stem}.png", flat=True),
        "metashape": Tool(_write_metashape, mask="{stem}_mask.png", flat=True),
    }
)
"""By the name given on the command line."""
