"""What was made of a project, kept for the next time: folders named after the content they were made from."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from reconstruction_pipeline.artifacts.projects import Source

# Raised when what is made of the same content changes.
VERSION = "1"
DONE = "complete"


def content_key(project: Path, source: Source) -> str:
    """Names the project's place, and its content: cameras, poses, points, pictures and masks."""
    digest = hashlib.blake2b(VERSION.encode(), digest_size=12)
    for number, camera in sorted(source.model.cameras.items()):
        digest.update(f"{number} {camera}".encode())
    for image in source.model.images:
        digest.update(f"{image.name}\0{image.camera_id} {image.quaternion} {image.translation.tobytes()!r}".encode())
        digest.update(image.xy.tobytes() + image.point_rows.tobytes())
        for path in (source.pictures / image.name, source.masks.get(image.name)):
            if path is not None:
                with path.open("rb") as file:
                    digest.update(hashlib.file_digest(file, "blake2b").digest())
    digest.update(source.model.xyz.tobytes() + source.model.rgb.tobytes())
    place = hashlib.blake2b(str(project).encode(), digest_size=4).hexdigest()
    return f"{place}-{digest.hexdigest()}"


def cached(workspace: Path, key: str, make: Callable[[Path], None]) -> Path:
    """The folder `key` of the workspace, filled by `make` the first time; another content's of the same project goes.

    A folder is renamed into its place when it is complete, so that an interruption leaves none that looks whole.
    """
    target = workspace / key
    if (target / DONE).is_file():
        return target
    project, _, content = key.partition("-")
    for old in workspace.glob(f"{project}-*"):
        if not old.name.startswith(f"{project}-{content.partition('-')[0]}"):
            shutil.rmtree(old, ignore_errors=True)
    partial = workspace / f"{key}.{os.getpid()}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        make(partial)
        (partial / DONE).touch()
        shutil.rmtree(target, ignore_errors=True)
        partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target
