"""GPS positions and masks, carried from the capture to its keyframes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps

from reconstruction_pipeline.artifacts.errors import InputRejected
from reconstruction_pipeline.artifacts.gps import GpsFix, write_gps
from reconstruction_pipeline.stages.keyframes.photo_files import orientation_of

GPS = "gps.csv"
# Between fixes further apart than this, seconds, nothing is known.
LONGEST_GAP_S = 3.0
QUARTER_TURNS = (5, 6, 7, 8)


def write_photo_gps(workspace: Path, fixes: Sequence[GpsFix], name_of: Mapping[str, str]) -> None:
    """`gps.csv` of the chosen photos; `name_of` gives the keyframe of each. No file where nothing is known."""
    known = [replace(fix, name=name_of[fix.name]) for fix in fixes if fix.name in name_of]
    if known:
        write_gps(workspace / GPS, sorted(known, key=lambda fix: fix.name))


def write_video_gps(workspace: Path, fixes: Sequence[GpsFix], times: Mapping[str, float]) -> None:
    """`gps.csv` of the frames called by the keys of `times` (seconds), between the fixes before and after each."""
    timed = {fix.time_s: fix for fix in fixes if np.isfinite(fix.time_s)}
    if not timed:
        return
    moments = np.array(sorted(timed))
    columns = np.array(
        [[getattr(timed[t], c) for c in ("latitude", "longitude", "altitude_m", "accuracy_m")] for t in moments]
    )
    known = []
    for name, time_s in times.items():
        after = int(np.searchsorted(moments, time_s))
        near = moments[max(after - 1, 0) : after + 1]
        if np.abs(near - time_s).max() > LONGEST_GAP_S:
            continue
        latitude, longitude, altitude, accuracy = (float(np.interp(time_s, moments, column)) for column in columns.T)
        known.append(GpsFix(latitude, longitude, altitude, accuracy, name, time_s))
    if known:
        write_gps(workspace / GPS, known)


def write_mask(path: Path, mask: Path, photo: Path, size: tuple[int, int]) -> None:
    """The mask of a photo as (height, width) = `size` PNG of 0 and 255, upright like its keyframe.

    Tools make masks of the upright picture, or of the pixels as stored; the shape tells which, and where it does not,
    the mask counts as upright. Raises `InputRejected` when it has the shape of neither.
    """
    try:
        turn = orientation_of(photo)
        with Image.open(mask) as image:
            flat = ImageOps.exif_transpose(image).convert("L")
    except Exception as error:  # Pillow raises many kinds on damaged files
        raise InputRejected(f"{mask.name}: the mask cannot be read ({type(error).__name__}); make it again.") from error
    height, width = size
    if turn in QUARTER_TURNS and (flat.width > flat.height) != (width > height) and width != height:
        flat.getexif()[ExifTags.Base.Orientation] = turn
        flat = ImageOps.exif_transpose(flat)
    if abs(flat.width / flat.height - width / height) > 0.02 * width / height:
        raise InputRejected(
            f"{mask.name}: the mask is {flat.width}x{flat.height}, not the shape of its photo; remake it."
        )
    resized = np.asarray(flat.resize((width, height), Image.Resampling.NEAREST))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.where(resized > 0, 255, 0).astype(np.uint8)).save(path)


def complete_masks(workspace: Path, sizes: Mapping[str, tuple[int, int]]) -> None:
    """Where some images have masks, an empty one (all 255) for each of the others, as COLMAP drops images without.

    `sizes` are (height, width) by name.
    """
    if not (workspace / "masks").is_dir():
        return
    for name, (height, width) in sizes.items():
        path = workspace / "masks" / f"{name}.png"
        if not path.is_file():
            Image.new("L", (width, height), 255).save(path)
