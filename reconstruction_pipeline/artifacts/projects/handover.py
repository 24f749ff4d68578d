"""A posed project as another program reads it, copied so that the program can do no harm to ours."""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection
from pathlib import Path

from reconstruction_pipeline.artifacts.camera_poses import CameraPoses
from reconstruction_pipeline.artifacts.colmap import ColmapModel, only_images, write_model

IMAGES = "images/"


def hand_over(poses: CameraPoses, folder: Path, form: str, names: Collection[str]) -> ColmapModel:
    """Write the images `names` with their poses to `folder`; returns the model that was written.

    `form`: "colmap" (`images/`, `sparse/0`) or "nerfstudio" (`images/`, `transforms.json`). The world is the poses'.
    """
    model = only_images(poses.model(), names)
    for image in model.images:
        target = folder / "images" / image.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(poses.image_path(image.name), target)
    if form == "colmap":
        write_model(folder / "sparse" / "0", model)
    else:
        document = json.loads(poses.path("transforms.json").read_text())
        chosen = {f"{IMAGES}{name}" for name in names}
        document["frames"] = [frame for frame in document["frames"] if frame["file_path"] in chosen]
        (folder / "transforms.json").write_text(json.dumps(document, indent=1))
    return model


def hand_over_masks(poses: CameraPoses, folder: Path, names: Collection[str]) -> Path:
    """Copy the masks of these images, `<name>.png`, into `folder`, which stays empty where there are none."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        if (mask := poses.mask_path(name)) is not None:
            target = folder / f"{name}.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(mask, target)
    return folder
