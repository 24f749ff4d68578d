"""What came beside a capture: a GPS log and masks of a video, masks and a GPS table of photos."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

from reconstruction_pipeline.artifacts.errors import InputRejected
from reconstruction_pipeline.artifacts.gps import GpsFix, write_gps
from reconstruction_pipeline.artifacts.source_video import GPS_LOGS, SourceVideo
from reconstruction_pipeline.artifacts.verdict import Gate
from reconstruction_pipeline.stages.ingest.exif_gps import exif_fix
from reconstruction_pipeline.stages.ingest.gps_logs import read_gps_log
from reconstruction_pipeline.stages.ingest.probe import Probe

MASKS = "masks"
MASK_MARKS = ("_mask", "_masks", "-mask", "-masks", ".mask", ".masks")
MASK_SUFFIXES = {".png", ".jpg", ".jpeg"}
VIDEO_SUFFIXES = {".mp4", ".mov", ".m4v", ".mkv", ".avi", ".webm"}
STORED = "video"


def gps_log_of(video: Path) -> Path | None:
    """The log beside a video with the video's own stem, if there is one."""
    for suffix in GPS_LOGS:
        for spelt in (suffix, suffix.upper()):
            path = video.with_name(video.stem + spelt)
            if path.is_file() and path != video:
                return path
    return None


def video_masks_of(video: Path) -> list[Path]:
    """The masks of a video beside it: one video called like it with `_mask` or `_masks` added (as well `-mask`,
    `.mask`), or else the pictures, in name order, of a folder called so. Empty when there are none.
    """
    wanted = {f"{video.stem}{mark}".lower() for mark in MASK_MARKS}
    try:
        beside = sorted(video.parent.iterdir())
    except OSError:
        return []
    for path in beside:
        if path.stem.lower() in wanted and path.suffix.lower() in VIDEO_SUFFIXES and path.is_file():
            return [path]
    for path in beside:
        if path.name.lower() in wanted and path.is_dir():
            return sorted(file for file in path.iterdir() if file.suffix.lower() in MASK_SUFFIXES and file.is_file())
    return []


def is_video_mask(name: str, others: Collection[str]) -> bool:
    """Whether a file, by its name, is the mask video of one of `others`, names in the same folder."""
    path = PurePosixPath(name)
    stem = path.stem.lower()
    bases = {stem.removesuffix(mark) for mark in MASK_MARKS if stem.endswith(mark)}
    if not bases or path.suffix.lower() not in VIDEO_SUFFIXES:
        return False  # before looking at the others: a folder may hold thousands
    return any(PurePosixPath(other).stem.lower() in bases for other in others if other != name)


def video_sides(video: Path) -> dict[str, Path]:
    """Every file that came beside a video and counts as its content, by the name it gets beside the stored copy."""
    sides = {}
    if log := gps_log_of(video):
        sides[f"{STORED}{log.suffix.lower()}"] = log
    masks = video_masks_of(video)
    for number, mask in enumerate(masks):
        one = len(masks) == 1 and mask.suffix.lower() in VIDEO_SUFFIXES
        sides[f"{STORED}_mask{mask.suffix.lower()}" if one else f"{STORED}_masks/{number:06d}{mask.suffix.lower()}"] = (
            mask
        )
    return sides


def is_mask(name: str) -> bool:
    """Whether a picture of a photo set, by its relative name, lies in a folder of masks."""
    return MASKS in (part.lower() for part in PurePosixPath(name).parts[:-1])


def match_masks(photos: Sequence[str], masks: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """(mask by photo, masks of no photo), by relative names.

    A mask is called like its photo, with `.png` added (as COLMAP has it) or in place of the suffix, in a folder `masks`
    beside the photos or beside their folder `images`.
    """
    by_key: dict[str, str] = {}
    for mask in masks:
        by_key[_key(mask)] = mask
    found = {}
    for photo in photos:
        whole = _key(photo + ".png")
        for key in (whole, _key(photo)):
            if key in by_key:
                found[photo] = by_key[key]
                break
    used = set(found.values())
    return found, sorted(mask for mask in masks if mask not in used)


def _key(name: str) -> str:
    path = PurePosixPath(name).with_suffix("")
    return "/".join(part for part in path.parts if part.lower() not in (MASKS, "images"))


def gps_of(found: Probe, original: Path, workspace: Path) -> list[Gate]:
    """Write `gps.csv` into the workspace of a `SourceVideo` where positions are known; what is to be said of them.

    `original` is the input, whose copy and its side files are in the workspace. No position is in any message.
    """
    if found.kind == "video":
        log = gps_log_of(original)
        if log is None:
            return []
        copy = workspace / "source" / f"{STORED}{log.suffix.lower()}"
        try:
            fixes = read_gps_log(copy, _started(original), found.duration_s)
        except InputRejected as error:
            return [_gate(False, str(error).replace(copy.name, log.name))]
        said = f"{log.name}: {len(fixes)} GPS positions." if fixes else f"{log.name}: holds no GPS positions; ignored."
    else:
        folder = workspace / "source"
        names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
        photos = [name for name in names if not is_mask(name) and not name.lower().endswith((*GPS_LOGS, ".bin"))]
        known = {name: fix for name in photos if (fix := exif_fix(folder / name, name))}
        table = folder / "gps.csv"
        if table.is_file():
            try:
                known |= _by_photo(read_gps_log(table, None, 0.0), photos)
            except InputRejected as error:
                return [_gate(False, str(error))]
        fixes = [known[name] for name in photos if name in known]
        said = f"{len(fixes)} of {len(photos)} photos have GPS positions."
    if fixes:
        write_gps(workspace / SourceVideo.GPS, fixes)
    return [_gate(True, said)] if fixes or found.kind == "video" else []


def _by_photo(fixes: Sequence[GpsFix], photos: Sequence[str]) -> dict[str, GpsFix]:
    by_stem = {_key(photo).lower(): photo for photo in photos}
    by_stem |= {PurePosixPath(photo).stem.lower(): photo for photo in photos}
    matched = {}
    for fix in fixes:
        stem = PurePosixPath(fix.name.replace("\\", "/"))
        photo = by_stem.get(_key(stem.as_posix()).lower()) or by_stem.get(stem.stem.lower())
        if photo:
            matched[photo] = replace(fix, name=photo)
    return matched


def masks_gate(strays: Sequence[str]) -> list[Gate]:
    """A warning that names masks which belong to no photo; nothing when there are none."""
    if not strays:
        return []
    more = f" and {len(strays) - 4} more" if len(strays) > 4 else ""
    return [_gate(False, f"{len(strays)} masks belong to no photo: {', '.join(strays[:4])}{more}.")]


def _gate(good: bool, message: str) -> Gate:
    advice = "" if good else "Call each mask like its photo with .png added, and the log like the video."
    return Gate("side_files", good, "warn", message, advice=advice)


def _started(video: Path) -> datetime | None:
    import av

    try:
        with av.open(str(video)) as container:
            said: Any = container.metadata.get("creation_time")
        return datetime.fromisoformat(said.replace("Z", "+00:00")) if said else None
    except (av.error.FFmpegError, ValueError):
        return None
