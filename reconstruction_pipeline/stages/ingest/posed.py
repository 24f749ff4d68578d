"""Photos that come with camera poses (a COLMAP project, `transforms.json`), as a set of photos with a model beside."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from reconstruction_pipeline.artifacts.colmap import write_model
from reconstruction_pipeline.artifacts.errors import InputRejected, ReconstructionError
from reconstruction_pipeline.artifacts.projects import is_project, read_source
from reconstruction_pipeline.artifacts.verdict import Gate

# Beside the photos, so that the stored copy is a COLMAP project as well.
MODEL = "sparse/0"


@dataclass(frozen=True)
class PosedPhotos:
    """`photos` and `masks` (by photo) by relative name; `model` holds the files of a binary COLMAP model without
    points, cameras as big as the photos. `notes` are sentences.
    """

    photos: dict[str, Path]
    masks: dict[str, Path]
    model: dict[str, bytes]
    notes: tuple[str, ...]


def poses_gate(posed: PosedPhotos) -> Gate:
    """That poses came along, and what was left out of them."""
    said = " ".join((f"{len(posed.photos)} photos came with camera poses.", *posed.notes))
    return Gate("given_poses", True, "warn", said, float(len(posed.photos)))


def posed_photos(path: Path) -> PosedPhotos | None:
    """The posed photos at `path`, or None where there are no poses. Raises `InputRejected` for unusable ones."""
    if not is_project(path):
        return None
    try:
        source = read_source(path.absolute())
    except ReconstructionError as error:
        raise InputRejected(str(error)) from error
    no_xy, no_rows = np.zeros((0, 2)), np.zeros(0, np.int64)
    bare = replace(
        source.model,
        images=tuple(replace(image, xy=no_xy, point_rows=no_rows) for image in source.model.images),
        xyz=np.zeros((0, 3)),
        rgb=np.zeros((0, 3), np.uint8),
        errors=np.zeros(0),
        track_lengths=np.zeros(0, np.int64),
    )
    with tempfile.TemporaryDirectory() as folder:
        write_model(Path(folder), bare)
        files = {file.name: file.read_bytes() for file in Path(folder).iterdir()}
    photos = {image.name: source.pictures / image.name for image in bare.images}
    return PosedPhotos(photos, dict(source.masks), files, source.notes)
