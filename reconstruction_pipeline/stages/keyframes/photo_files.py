"""From a photo file to an upright sRGB array of the wanted size, and what its EXIF says of the camera."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageCms, ImageOps

from reconstruction_pipeline.artifacts.containers import HEIF_SUFFIXES, PILLOW_FORMATS
from reconstruction_pipeline.artifacts.heif import is_heif, read_heif

Rgb = npt.NDArray[np.uint8]

# A 35 mm frame is 36 mm wide.
FRAME_MM = 36.0
MM_PER_UNIT = {2: 25.4, 3: 10.0, 4: 1.0}
# Over the longest side; what is beyond is a wrong entry.
SANE_FOCAL = (0.2, 30.0)


@dataclass(frozen=True)
class Photo:
    """`rgb` (H, W, 3), upright; `focal_px` in those pixels or None. `camera` tells cameras, lenses and zoom settings
    apart, and is empty where EXIF says nothing.
    """

    rgb: Rgb
    focal_px: float | None
    camera: str


def read_photo(path: Path, max_size: int) -> Photo:
    """Decode, turn as EXIF (or HEIF) says, convert to sRGB, scale to `max_size` on the longest side at most.

    Raises whatever the decoders raise on damaged files, which is of many kinds.
    """
    with path.open("rb") as file:
        head = file.read(64)
    if path.suffix.lower() in HEIF_SUFFIXES and is_heif(head):
        image, exif, full = _heif(path)
    else:
        image, exif, full = _pillow(path, max_size)
    image.thumbnail((max_size, max_size), Image.Resampling.LANCZOS, reducing_gap=3.0)
    focal = _focal_px(exif, full, max(image.size))
    return Photo(np.asarray(image), focal, _camera(exif))


def orientation_of(path: Path) -> int:
    """EXIF's orientation, 1 to 8, of the pixels as stored; HEIF files are upright once decoded."""
    if path.suffix.lower() in HEIF_SUFFIXES:
        return 1
    with Image.open(path, formats=PILLOW_FORMATS) as image:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))


def _pillow(path: Path, max_size: int) -> tuple[Image.Image, Image.Exif, tuple[int, int]]:
    with Image.open(path, formats=PILLOW_FORMATS) as image:
        exif, full, profile = image.getexif(), image.size, image.info.get("icc_profile")
        exif.get_ifd(ExifTags.IFD.Exif)  # of a TIFF it is read from the file, which is soon closed
        if image.format in ("JPEG", "MPO"):
            image.draft("RGB", (max_size, max_size))
        if image.mode.startswith("I"):
            flat = Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8))
            flat.getexif()[ExifTags.Base.Orientation] = exif.get(ExifTags.Base.Orientation, 1)
            upright = ImageOps.exif_transpose(flat).convert("RGB")
        else:
            upright = _in_srgb(ImageOps.exif_transpose(image), profile)
    return upright, exif, full


def _in_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    if not profile or image.mode not in ("RGB", "CMYK", "L"):
        return image.convert("RGB")
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError):  # a damaged profile is no reason to lose the photo
        return image.convert("RGB")
    return converted or image.convert("RGB")


def _heif(path: Path) -> tuple[Image.Image, Image.Exif, tuple[int, int]]:
    from reconstruction_pipeline.stages.keyframes.heic import decode_heif

    picture = read_heif(path.read_bytes())
    exif = Image.Exif()
    if picture.exif:
        exif.load(b"Exif\0\0" + picture.exif)
    return Image.fromarray(decode_heif(picture)), exif, picture.upright_size


def _focal_px(exif: Image.Exif, full: tuple[int, int], longest: int) -> float | None:
    """From the 35 mm equivalent, else from the focal length and the sensor's pixels per millimetre."""
    tags = exif.get_ifd(ExifTags.IFD.Exif)
    relative = 0.0
    if equivalent := _number(tags, ExifTags.Base.FocalLengthIn35mmFilm):
        relative = equivalent / FRAME_MM
    elif tags.get(ExifTags.Base.ExifImageWidth) in full:  # else it was scaled or cut since
        density = _number(tags, ExifTags.Base.FocalPlaneXResolution)
        unit = MM_PER_UNIT.get(int(_number(tags, ExifTags.Base.FocalPlaneResolutionUnit) or 2), 25.4)
        relative = _number(tags, ExifTags.Base.FocalLength) * density / unit / max(full)
    return relative * longest if SANE_FOCAL[0] < relative < SANE_FOCAL[1] else None


def _camera(exif: Image.Exif) -> str:
    tags = exif.get_ifd(ExifTags.IFD.Exif)
    words = [exif.get(ExifTags.Base.Make), exif.get(ExifTags.Base.Model), tags.get(ExifTags.Base.LensModel)]
    said = [str(word).strip("\0 ") for word in words if word]
    length = _number(tags, ExifTags.Base.FocalLength)
    return " ".join([*said, f"{length:.2f} mm"] if length else said)


def _number(tags: Any, tag: int) -> float:
    try:
        value = float(tags.get(tag) or 0)
    except (TypeError, ValueError, ZeroDivisionError):
        return 0.0
    return value if np.isfinite(value) and value > 0 else 0.0
