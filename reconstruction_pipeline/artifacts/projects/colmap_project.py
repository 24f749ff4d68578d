"""COLMAP projects as people have them: written by COLMAP, pycolmap or other tools, text or binary, anywhere inside."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from reconstruction_pipeline.artifacts.colmap import ColmapModel, read_model
from reconstruction_pipeline.artifacts.colmap_text import count_images, read_text_model
from reconstruction_pipeline.artifacts.errors import InvalidArtifact
from reconstruction_pipeline.artifacts.projects.pictures import find_pictures
from reconstruction_pipeline.artifacts.projects.source import Source, masks_beside, renamed

# Where models usually are; among models of equal size the first of these is taken.
USUAL = ("sparse/0", "sparse", "0", ".", "colmap/sparse/0", "colmap", "distorted/sparse/0")
DEPTH = 4


def find_models(project: Path) -> list[Path]:
    """Folders of sparse models in `project`: the usual places first, then the others in order of depth and name."""
    usual = [project / place for place in USUAL]
    return sorted(
        _model_folders(project), key=lambda f: (usual.index(f) if f in usual else len(usual), len(f.parts), f)
    )


def read_project(project: Path, models: list[Path]) -> Source:
    """The model with most images; `InvalidArtifact` where it is damaged or a picture is missing."""
    counts = [_image_count(folder) for folder in models]
    folder = models[counts.index(max(counts))]
    notes = []
    if len(models) > 1:
        where = folder.relative_to(project).as_posix()
        notes.append(f"{len(models)} sparse models were found; '{where}' with {max(counts)} images is used.")
    model = _read(folder)
    if not model.images:
        raise InvalidArtifact(f"{folder}: the model has 0 images with a pose; give one that was reconstructed.")
    pictures, names = find_pictures(project, folder, model)
    if any(name != path for name, path in names.items()):
        notes.append(
            f"Some pictures in '{pictures.name}' have other names than in the model; the only match was taken."
        )
    model = replace(model, images=renamed(model.images, names))
    return Source(model, pictures, masks_beside(pictures, [i.name for i in model.images]), tuple(notes))


def _model_folders(project: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(project, followlinks=True):
        here = Path(place)
        deep = len(here.relative_to(project).parts) >= DEPTH
        folders[:] = [] if deep else sorted(f for f in folders if not f.startswith("."))
        if any(f"cameras.{kind}" in files and f"images.{kind}" in files for kind in ("bin", "txt")):
            yield here


def _is_binary(folder: Path) -> bool:
    return (folder / "cameras.bin").is_file() and (folder / "images.bin").is_file()


def _image_count(folder: Path) -> int:
    if not _is_binary(folder):
        return count_images(folder)
    with (folder / "images.bin").open("rb") as file:
        head = file.read(8)
    return int(struct.unpack("<Q", head)[0]) if len(head) == 8 else 0


def _read(folder: Path) -> ColmapModel:
    return read_model(folder, need_points=False) if _is_binary(folder) else read_text_model(folder)
