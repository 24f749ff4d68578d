"""Keyframes of a photo set: every readable photo, upright, with what its EXIF says of the lens."""

from __future__ import annotations

import re
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from reconstruction_pipeline.artifacts.containers import PHOTO_SUFFIXES
from reconstruction_pipeline.artifacts.errors import InputRejected
from reconstruction_pipeline.artifacts.progress import Progress
from reconstruction_pipeline.artifacts.source_video import SourceVideo
from reconstruction_pipeline.artifacts.verdict import Gate, Verdict
from reconstruction_pipeline.stages.keyframes import tables
from reconstruction_pipeline.stages.keyframes.analysis import SHARPNESS_SIZE
from reconstruction_pipeline.stages.keyframes.images import Rgb, gray_of, write_jpeg
from reconstruction_pipeline.stages.keyframes.photo_reader import read_photos
from reconstruction_pipeline.stages.keyframes.previews import contact_sheet
from reconstruction_pipeline.stages.keyframes.settings import KeyframeSettings
from reconstruction_pipeline.stages.keyframes.sharpness import blur_extent, sharpness
from reconstruction_pipeline.stages.keyframes.side_data import complete_masks, write_mask, write_photo_gps

# Mean grey difference of 32 px thumbnails, in grey levels, below which two photos are the same picture.
SAME_PICTURE = 1.0


def from_photos(
    source: SourceVideo, settings: KeyframeSettings, workspace: Path, progress: Progress
) -> tuple[dict[str, Any], Verdict]:
    """Fill `workspace` from photos; (metrics, verdict)."""
    masks = source.media / "masks"
    files = sorted(p for p in source.media.rglob("*") if p.suffix.lower() in PHOTO_SUFFIXES and masks not in p.parents)
    used = set(np.linspace(0, len(files) - 1, min(len(files), settings.count)).round().astype(int).tolist())
    photos = read_photos([files[number] for number in sorted(used)], settings.max_size)
    cameras: dict[str, int] = {}
    rows: list[dict[str, Any]] = []
    thumbs: list[Rgb] = []
    for number, file in enumerate(files):
        relative = file.relative_to(source.media).as_posix()
        row: dict[str, Any] = {"photo": relative, "name": "", "chosen": 0}
        row["reason"] = f"over the limit of {settings.count}"
        rows.append(row)
        if number not in used:
            continue
        photo = next(photos)
        if isinstance(photo, str):
            row["reason"] = f"cannot be decoded ({photo})"
            continue
        rgb = photo.rgb
        name = _image_name(relative, {r["name"] for r in rows})
        write_jpeg(workspace / "images" / name, rgb, settings.jpeg_quality)
        mask = masks / f"{relative}.png"
        if mask.is_file():
            write_mask(workspace / "masks" / f"{name}.png", mask, file, rgb.shape[:2])
        gray = gray_of(rgb, SHARPNESS_SIZE)
        thumbs.append(cv2.resize(gray, (32, 32), interpolation=cv2.INTER_AREA).astype(np.uint8))
        row |= {
            "name": name,
            "chosen": 1,
            "reason": "chosen",
            "sharpness": sharpness(gray),
            "blur": blur_extent(gray),
            "width": rgb.shape[1],
            "height": rgb.shape[0],
            "focal_px": photo.focal_px,
            # By number: what the camera is called stays with the original.
            "camera": cameras.setdefault(photo.camera, len(cameras) + 1),
        }
        progress.report("keyframes", number + 1, len(files), relative)
    chosen = sorted((r for r in rows if r["chosen"]), key=lambda r: r["name"])
    if not chosen:
        name = source.probe()["name"]
        raise InputRejected(f"{name}: none of its {len(files)} photos can be decoded; copy them again.")
    _write(workspace, rows, chosen)
    if (source.media / "sparse" / "0").is_dir():
        shutil.copytree(source.media / "sparse" / "0", workspace / "given")
    complete_masks(workspace, {r["name"]: (r["height"], r["width"]) for r in chosen})
    write_photo_gps(workspace, source.gps(), {r["photo"]: r["name"] for r in chosen})
    sizes = {(r["width"], r["height"]) for r in chosen}
    focals = [r["focal_px"] for r in chosen if r["focal_px"]]
    focal = float(np.median(focals)) if focals else None
    width, height = sizes.pop() if len(sizes) == 1 else (None, None)
    tables.write_camera(workspace / "camera.json", False, width, height, focal)
    blur = float(np.median([r["blur"] for r in chosen]))
    metrics = {
        "frames_decoded": len(chosen),
        "selected": len(chosen),
        "duration_s": 0.0,
        "width": width,
        "height": height,
        "median_sharpness": round(float(np.median([r["sharpness"] for r in chosen])), 6),
        "blur": round(blur, 4),
        "focal_px": focal,
        "cameras": len({(r["camera"], r["width"], r["height"]) for r in chosen}),
        "backend": "pillow",
    }
    return metrics, Verdict.of(_gates(rows, chosen, thumbs, blur, settings))


def _image_name(relative: str, taken: set[str]) -> str:
    """The photo's own name where possible; folders become part of it, clashes get a number."""
    stem = re.sub(r"[^A-Za-z0-9._-]+", "_", relative.rsplit(".", 1)[0].replace("/", "_")) or "photo"
    name, number = f"{stem}.jpg", 1
    while name in taken:
        number += 1
        name = f"{stem}-{number}.jpg"
    return name


def _write(workspace: Path, rows: list[dict[str, Any]], chosen: list[dict[str, Any]]) -> None:
    columns = (
        "name",
        "timestamp_s",
        "sharpness",
        "motion_px",
        "blur",
        "photo",
        "width",
        "height",
        "focal_px",
        "camera",
    )
    tables.write_table(workspace / "keyframes.csv", ({c: r.get(c) for c in columns} for r in chosen))
    tables.write_table(
        workspace / "candidates.csv", ({c: r.get(c) for c in (*columns, "chosen", "reason")} for r in rows)
    )
    images = [workspace / "images" / r["name"] for r in chosen]
    contact_sheet(workspace / "previews" / "contact_sheet.jpg", images, [Path(r["name"]).stem[-18:] for r in chosen])


def _gates(
    rows: list[dict[str, Any]], chosen: list[dict[str, Any]], thumbs: list[Rgb], blur: float, settings: KeyframeSettings
) -> list[Gate]:
    damaged = [r["photo"] for r in rows if r["reason"].startswith("cannot")]
    enough = len(chosen) >= settings.min_frames
    change = max((float(np.abs(a.astype(float) - b).mean()) for a, b in pairwise(thumbs)), default=0.0)
    moving = change >= SAME_PICTURE
    soft = blur > settings.max_blur
    return [
        Gate("decodable", True, "block", f"{len(chosen)} photos decode.", len(chosen)),
        Gate(
            "complete",
            not damaged,
            "warn",
            f"{len(damaged)} photos cannot be decoded" + (f": {', '.join(damaged[:5])}." if damaged else "."),
            len(damaged),
            0,
            "Copy them again from the camera." if damaged else "",
        ),
        Gate(
            "usable_frames",
            enough,
            "block",
            f"{len(chosen)} usable photos; at least {settings.min_frames} are needed.",
            len(chosen),
            settings.min_frames,
            "" if enough else "Take more overlapping photos from different places.",
        ),
        Gate(
            "not_static",
            moving,
            "block",
            "The photos show different views." if moving else "All photos are the same picture.",
            change,
            SAME_PICTURE,
            "" if moving else "Walk around the subject and take a photo every step.",
        ),
        Gate(
            "sharp",
            not soft,
            "warn",
            f"Median blur of the photos is {blur:.2f} (0 sharp, 1 blurred).",
            blur,
            settings.max_blur,
            "Hold still for each photo, or use more light." if soft else "",
        ),
    ]
