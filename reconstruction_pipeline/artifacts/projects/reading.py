"""From a path to the posed project it holds."""

from __future__ import annotations

from pathlib import Path

from reconstruction_pipeline.artifacts.errors import UsageError
from reconstruction_pipeline.artifacts.projects.colmap_project import find_models, read_project
from reconstruction_pipeline.artifacts.projects.nerfstudio import find_transforms, read_transforms
from reconstruction_pipeline.artifacts.projects.source import Source, checked

# What other programs write when they are not asked for COLMAP's format.
FOREIGN = {".rcproj", ".psx", ".psz", ".xml", ".out", ".nvm", ".p4d"}


def is_project(path: Path) -> bool:
    """Whether camera poses are to be found there."""
    return find_transforms(path) is not None or (path.is_dir() and bool(find_models(path)))


def read_source(path: Path) -> Source:
    """The poses and pictures at `path`: a COLMAP project, or `transforms.json` or its folder.

    A folder with both is a COLMAP project. Cameras have the size of the pictures. Raises `UsageError` for what is no
    project, `InvalidArtifact` for a damaged or incomplete one.
    """
    return checked(_read(path), path)


def _read(path: Path) -> Source:
    if not path.exists():
        raise UsageError(f"{path}: there is no such folder; check the path.")
    models = find_models(path) if path.is_dir() else []
    if models:
        return read_project(path, models)
    transforms = find_transforms(path)
    if transforms is not None:
        return read_transforms(transforms)
    foreign = [p.name for p in sorted(path.iterdir()) if p.suffix.lower() in FOREIGN] if path.is_dir() else [path.name]
    hint = (
        f"'{foreign[0]}' is not read: export COLMAP's text format from the program that made it"
        if foreign
        else "give a COLMAP project (images/ and sparse/0/cameras.bin or .txt) or a folder with transforms.json"
    )
    raise UsageError(f"{path}: no camera poses found in it; {hint}.")
