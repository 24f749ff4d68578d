"""Photo sets: a folder or a zip of photo files, seen the same way and never trusted."""

from __future__ import annotations

import io
import stat
import unicodedata
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import IO

from PIL import Image

from reconstruction_pipeline.artifacts.containers import HEIF_SUFFIXES, PHOTO_SUFFIXES, PILLOW_FORMATS
from reconstruction_pipeline.artifacts.errors import InputRejected
from reconstruction_pipeline.artifacts.heif import is_heif, read_heif
from reconstruction_pipeline.stages.ingest.limits import IngestLimits
from reconstruction_pipeline.stages.ingest.posed import MODEL, posed_photos
from reconstruction_pipeline.stages.ingest.probe import Probe
from reconstruction_pipeline.stages.ingest.side_files import MASKS, is_mask, match_masks

# Raw files need the camera maker's own rendering.
CONVERTIBLE = {".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2", ".jxl", ".bmp", ".gif"}
# Below it, a zip that unpacks to many times its size is harmless.
SMALL = 64 * 1024**2


@dataclass(frozen=True)
class Photo:
    """One candidate: `name` is its relative POSIX path, free of a zip's own top folder; `size` in bytes."""

    name: str
    size: int
    member: str


class PhotoSet:
    """Uniform reading of a folder, a zip or a posed project; use as a context manager."""

    def __init__(self, path: Path, limits: IngestLimits) -> None:
        self.path = path
        try:
            self.posed = posed_photos(path)
            self._zip = None if self.posed or path.is_dir() else zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError) as error:
            raise InputRejected(f"{path.name}: the zip file is damaged ({error}); make it again.") from error
        listed = self._list_zip(limits) if self._zip else self._list_folder()
        self.others = [p.name for p in listed if PurePosixPath(p.name).suffix.lower() not in PHOTO_SUFFIXES]
        pictures = [p for p in listed if PurePosixPath(p.name).suffix.lower() in PHOTO_SUFFIXES]
        self.photos = [p for p in pictures if not is_mask(p.name)] or pictures
        self._masks = [p for p in pictures if is_mask(p.name)] if len(self.photos) < len(pictures) else []
        self._table = next((p for p in listed if p.name.lower() == "gps.csv"), None)
        if len(self.photos) > limits.max_photos:
            raise InputRejected(f"{path.name}: {len(self.photos)} photos are over the limit of {limits.max_photos}.")
        if sum(p.size for p in pictures) > limits.max_bytes:
            raise InputRejected(f"{path.name}: the photos unpack to more than {limits.max_bytes / 1024**3:.0f} GiB.")

    def __enter__(self) -> PhotoSet:
        return self

    def __exit__(self, *_: object) -> None:
        if self._zip:
            self._zip.close()

    def side_files(self) -> tuple[list[Photo], list[str]]:
        """What else belongs to the set, each with the name it gets beside the photos: masks as `masks/<photo>.png`
        `gps.csv`, and the model of a posed project; and the names of masks that belong to no photo.
        """
        poses = self.posed.model if self.posed else {}
        model = [Photo(f"{MODEL}/{name}", len(data), name) for name, data in sorted(poses.items())]
        by_name = {mask.name: mask for mask in self._masks}
        matched, strays = match_masks([photo.name for photo in self.photos], list(by_name))
        found = [replace(by_name[mask], name=f"{MASKS}/{photo}.png") for photo, mask in sorted(matched.items())]
        return found + ([replace(self._table, name="gps.csv")] if self._table else []) + model, strays

    @contextmanager
    def open(self, photo: Photo) -> Iterator[IO[bytes]]:
        """The bytes of one photo; never more than its stated size."""
        if self.posed and photo.name.startswith(f"{MODEL}/"):
            yield io.BytesIO(self.posed.model[photo.member])
        elif self._zip:
            with self._zip.open(photo.member) as file:
                yield file
        else:
            with (self.path / photo.member).open("rb") as file:
                yield file

    def _list_folder(self) -> list[Photo]:
        if self.posed:
            files = self.posed.photos | {f"{MASKS}/{name}.png": path for name, path in self.posed.masks.items()}
            return [Photo(name, path.stat().st_size, str(path)) for name, path in sorted(files.items())]
        found = []
        for file in sorted(self.path.rglob("*")):
            relative = file.relative_to(self.path).as_posix()
            if file.is_file() and not _is_hidden(relative):
                found.append(Photo(relative, file.stat().st_size, relative))
        beside = self.path.parent / MASKS
        if self.path.name.lower() == "images" and beside.is_dir():
            for file in sorted(p for p in beside.rglob("*") if p.is_file()):
                relative = f"{MASKS}/{file.relative_to(beside).as_posix()}"
                found.append(Photo(relative, file.stat().st_size, f"../{relative}"))
        return found

    def _list_zip(self, limits: IngestLimits) -> list[Photo]:
        assert self._zip
        found = []
        _refuse_bombs(self.path, self._zip, limits)
        for info in sorted(self._zip.infolist(), key=lambda i: i.filename):
            pure = PurePosixPath(info.filename.replace("\\", "/"))
            if pure.is_absolute() or ".." in pure.parts or ":" in info.filename:
                raise InputRejected(f"{self.path.name}: the zip holds an unsafe path, '{info.filename}'; redo it.")
            if info.is_dir() or stat.S_ISLNK(info.external_attr >> 16) or _is_hidden(str(pure)):
                continue
            found.append(Photo(str(pure), info.file_size, info.filename))
        tops = {PurePosixPath(p.name).parts[0] for p in found}
        if len(tops) == 1 and all(len(PurePosixPath(p.name).parts) > 1 for p in found):
            # The folder that was zipped: the same photos are then the same content, zipped or not.
            top = tops.pop() + "/"
            found = [Photo(p.name.removeprefix(top), p.size, p.member) for p in found]
        # Some disks tell names apart by case, others do not.
        names = Counter(unicodedata.normalize("NFC", p.name).casefold() for p in found)
        if twice := [name for name, count in names.items() if count > 1]:
            raise InputRejected(f"{self.path.name}: the zip holds '{twice[0]}' more than once; make it again.")
        return found


def _refuse_bombs(path: Path, archive: zipfile.ZipFile, limits: IngestLimits) -> None:
    """Photos hardly compress: what unpacks to far more than the zip would fill the disk and is no photo set."""
    members = archive.infolist()
    if len(members) > 4 * limits.max_photos:
        raise InputRejected(f"{path.name}: {len(members)} files in the zip are over the limit; split it.")
    unpacked = sum(info.file_size for info in members)
    packed = max(path.stat().st_size, 1)
    bombs = [
        i.filename for i in members if i.file_size > SMALL and i.file_size > limits.max_unpacked_photo * i.compress_size
    ]
    if bombs or (unpacked > SMALL and unpacked > limits.max_unpacked * packed):
        raise InputRejected(
            f"{path.name}: the zip of {packed / 1e6:.1f} MB unpacks to {unpacked / 1e6:.0f} MB, which photos do not;"
            " make it again from the photos alone."
        )


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in PurePosixPath(name).parts)


def check_photo(photos: PhotoSet, photo: Photo, limits: IngestLimits) -> tuple[str, int, int] | None:
    """(format, width, height) upright from the header alone, or None when it is unusable."""
    if photo.size > limits.max_photo_bytes:
        return None
    try:
        if PurePosixPath(photo.name).suffix.lower() in HEIF_SUFFIXES:
            with photos.open(photo) as file:
                data = file.read()
            if is_heif(data[:64]):
                size = read_heif(data).upright_size
                return ("HEIC", *size) if _small_enough(size, limits) else None
        with photos.open(photo) as file, Image.open(file, formats=PILLOW_FORMATS) as image:
            width, height = image.size
            # Pillow turns a TIFF by itself.
            turned = image.format != "TIFF" and image.getexif().get(0x0112, 1) in (5, 6, 7, 8)
            kind = "JPEG" if image.format == "MPO" else str(image.format)
    except RuntimeError as error:
        raise InputRejected(f"{photos.path.name}: '{photo.name}' cannot be read ({error}); unlock the zip.") from error
    except Exception:  # Pillow and zlib raise many kinds on damaged files; all mean "unusable"
        return None
    if not _small_enough((width, height), limits):
        return None
    return (kind, height, width) if turned else (kind, width, height)


def _small_enough(size: tuple[int, int], limits: IngestLimits) -> bool:
    return 0 < size[0] * size[1] <= limits.max_pixels and max(size) <= limits.max_side


def probe_photos(path: Path, limits: IngestLimits, alive: Callable[[], None] = lambda: None) -> Probe:
    """Probe a folder or zip of photos; raise `InputRejected` when it is no photo set."""
    with PhotoSet(path, limits) as photos:
        checks = {}
        for photo in photos.photos:
            alive()
            checks[photo.name] = check_photo(photos, photo, limits)
        usable = {name: found for name, found in checks.items() if found}
        unusable = tuple(name for name, found in checks.items() if not found)
        if not checks:
            raise InputRejected(_why_no_photos(photos))
    if len(usable) < limits.min_frames:
        damaged = f" ({len(unusable)} more cannot be read)" if unusable else ""
        raise InputRejected(
            f"{path.name}: {len(usable)} usable photo{'s' * (len(usable) != 1)}{damaged}; at least {limits.min_frames}"
            " overlapping photos taken from different places are needed."
        )
    kinds = sorted({kind for kind, _, _ in usable.values()})
    _, width, height = next(iter(usable.values()))
    return Probe("photos", path.name, "+".join(kinds), width, height, len(usable), unusable=unusable)


def _why_no_photos(photos: PhotoSet) -> str:
    name = photos.path.name
    suffixes = {PurePosixPath(other).suffix.lower() for other in photos.others}
    if convertible := sorted(suffixes & CONVERTIBLE):
        return (
            f"{name}: holds {', '.join(convertible)} files, which are not read; export them as JPEG, PNG or TIFF first."
        )
    if suffixes & {".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v"}:
        return f"{name}: holds videos and no photos; give one video at a time."
    return f"{name}: holds no photo (JPEG, PNG, TIFF, HEIC, WebP or AVIF); give a video, or a folder or zip of photos."
