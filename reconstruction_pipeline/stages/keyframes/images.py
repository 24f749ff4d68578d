"""From a decoded frame or a photo file to an upright sRGB array of the wanted size."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageOps

Rgb = npt.NDArray[np.uint8]


def upright_photo(path: Path, max_size: int) -> tuple[Rgb, float | None]:
    """(H, W, 3) of a photo file, EXIF orientation applied, and its focal length in those pixels or None."""
    with Image.open(path, formats=("JPEG", "PNG")) as image:
        exif = image.getexif()
        if image.format != "PNG":
            image.draft("RGB", (max_size, max_size))
        if image.mode.startswith("I"):
            flat = Image.fromarray((np.asarray(image, np.uint32) >> 8).astype(np.uint8))
            upright = flat.convert("RGB")
        else:
            upright = ImageOps.exif_transpose(image).convert("RGB")
    upright.thumbnail((max_size, max_size), Image.Resampling.LANCZOS, reducing_gap=3.0)
    focal35 = exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.FocalLengthIn35mmFilm)
    # A 35 mm frame is 36 mm wide.
    focal = float(focal35) / 36.0 * max(upright.size) if focal35 else None
    return np.asarray(upright), focal


def write_jpeg(path: Path, rgb: Rgb, quality: int) -> None:
    """Write without any metadata of the source."""
    done, data = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise OSError(f"{path}: the JPEG encoder refused the image")
    path.write_bytes(data.tobytes())


def gray_of(rgb: Rgb, max_size: int) -> Rgb:
    """(H, W) grey at analysis size."""
    scale = min(1.0, max_size / max(rgb.shape[:2]))
    gray = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    return cv2.resize(gray, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
