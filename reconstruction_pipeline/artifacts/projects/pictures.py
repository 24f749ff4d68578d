"""Which file is the picture of which image of a COLMAP model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from reconstruction_pipeline.artifacts.colmap import ColmapModel
from reconstruction_pipeline.artifacts.errors import InvalidArtifact
from reconstruction_pipeline.artifacts.projects.source import picture_size

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"})
# Where COLMAP's users keep pictures; `input` is that of the original 3DGS code, `images_2` are smaller copies.
FOLDERS = ("images", "input", "", "images_2", "images_4", "images_8")
LEVELS_ABOVE = 3


def find_pictures(project: Path, model_folder: Path, model: ColmapModel) -> tuple[Path, dict[str, str]]:
    """(picture folder, image name -> path of its picture in that folder, with `/`).

    The folder with most of the pictures is taken, and among equals the one whose pictures have the size that the
    cameras state. Extension and folders of a name may differ from the file's where no other file could be meant.
    Raises `InvalidArtifact`, naming a picture, unless all are found.
    """
    names = [image.name for image in model.images]
    best: tuple[tuple[int, int], Path, dict[str, str]] | None = None
    for folder in _folders(project, model_folder):
        found = _match(folder, names)
        rank = (len(found), _of_right_size(folder, found, model))
        if best is None or rank > best[0]:
            best = rank, folder, found
        if rank == (len(names), 1):
            break
    if best is None or not best[2]:
        raise InvalidArtifact(
            f"{project}: none of the {len(names)} pictures of the model, such as '{names[0]}', is there; "
            "put them in its folder 'images'."
        )
    _, folder, found = best
    missing = [name for name in names if name not in found]
    if missing:
        raise InvalidArtifact(
            f"{folder}: {len(missing)} of the {len(names)} pictures of the model are missing, such as '{missing[0]}'; "
            "put them back, or remove their images from the model."
        )
    return folder, found


def _folders(project: Path, model_folder: Path) -> Iterator[Path]:
    """Candidates, near the model first, each once."""
    above = [model_folder, *model_folder.parents]
    inside = above[: above.index(project) + 1]
    seen = set()
    for place in (*inside, *project.parents[:LEVELS_ABOVE]):
        # What lies above the project may be a whole disk: only folders with the usual names are looked into there.
        for name in FOLDERS if place in inside else [n for n in FOLDERS if n]:
            folder = place / name
            if folder not in seen and folder.is_dir():
                seen.add(folder)
                yield folder


def _match(folder: Path, names: Sequence[str]) -> dict[str, str]:
    found, lost = {}, []
    for name in names:
        plain = name.replace("\\", "/")
        inside = not plain.startswith("/") and ".." not in plain.split("/")
        if inside and (folder / plain).is_file() and Path(plain).suffix:
            found[name] = plain
        else:
            lost.append(name)
    if not lost:
        return found
    files = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if _is_picture(path, folder)]
    taken = set(found.values())
    keys = (lambda text: _stem(text), lambda text: text.rsplit("/", 1)[-1], lambda text: _stem(text).rsplit("/", 1)[-1])
    for key in keys:
        index: dict[str, list[str]] = {}
        for file in files:
            index.setdefault(key(file).lower(), []).append(file)
        for name in [n for n in lost if n not in found]:
            candidates = index.get(key(name.replace("\\", "/")).lower(), [])
            if len(candidates) == 1 and candidates[0] not in taken:
                found[name] = candidates[0]
                taken.add(candidates[0])
    return found


def _stem(text: str) -> str:
    head, _, suffix = text.rpartition(".")
    return head if head and f".{suffix.lower()}" in SUFFIXES else text


def _is_picture(path: Path, folder: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
    return not hidden and path.suffix.lower() in SUFFIXES and path.is_file()


def _of_right_size(folder: Path, found: dict[str, str], model: ColmapModel) -> int:
    """1 where the first picture found has exactly the size that its camera states."""
    for image in model.images:
        if image.name in found and image.camera_id in model.cameras:
            camera = model.cameras[image.camera_id]
            return int(picture_size(folder / found[image.name]) == (camera.width, camera.height))
    return 0
