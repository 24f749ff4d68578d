"""The position in a photo's EXIF."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from PIL import ExifTags, Image

from reconstruction_pipeline.artifacts.containers import HEIF_SUFFIXES, PILLOW_FORMATS
from reconstruction_pipeline.artifacts.gps import GpsFix
from reconstruction_pipeline.artifacts.heif import read_heif


def exif_fix(path: Path, name: str) -> GpsFix | None:
    """Where the photo was taken, or None when it does not say or says nonsense."""
    try:
        gps = _gps_tags(path)
        tag = ExifTags.GPS
        latitude = _degrees(gps[tag.GPSLatitude], gps.get(tag.GPSLatitudeRef, "N"), "S")
        longitude = _degrees(gps[tag.GPSLongitude], gps.get(tag.GPSLongitudeRef, "E"), "W")
        altitude = float(gps[tag.GPSAltitude]) if tag.GPSAltitude in gps else math.nan
        if gps.get(tag.GPSAltitudeRef) in (1, b"\x01"):
            altitude = -altitude
        accuracy = float(gps.get(tag.GPSHPositioningError, math.nan))
    except Exception:  # damaged EXIF raises many kinds; all mean that the photo does not say
        return None
    fix = GpsFix(latitude, longitude, altitude, accuracy if accuracy > 0 else math.nan, name=name)
    return fix if fix.sound else None


def _gps_tags(path: Path) -> dict[int, Any]:
    if path.suffix.lower() in HEIF_SUFFIXES:
        exif = Image.Exif()
        exif.load(b"Exif\0\0" + read_heif(path.read_bytes()).exif)
        return dict(exif.get_ifd(ExifTags.IFD.GPSInfo))
    with Image.open(path, formats=PILLOW_FORMATS) as image:
        return dict(image.getexif().get_ifd(ExifTags.IFD.GPSInfo))


def _degrees(parts: Any, reference: Any, negative: str) -> float:
    degrees, minutes, seconds = (float(part) for part in parts)
    value = degrees + minutes / 60 + seconds / 3600
    said = reference.decode() if isinstance(reference, bytes) else str(reference)
    return -value if said.upper().startswith(negative) else value
