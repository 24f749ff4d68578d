"""Masks that came beside a video, one for every keyframe."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from reconstruction_pipeline.artifacts.errors import InputRejected
from reconstruction_pipeline.artifacts.source_video import SourceVideo
from reconstruction_pipeline.stages.keyframes.decode import VideoReader
from reconstruction_pipeline.stages.keyframes.panorama import PanoramaViews

Mask = npt.NDArray[np.uint8]

VIDEO_SUFFIXES = {".mp4", ".mov", ".m4v", ".mkv", ".avi", ".webm"}
# A mask this far in time from its keyframe, seconds, shows another moment.
FURTHEST_S = 0.1
# Compression blurs the edge between black and white; the middle is where it was.
WHITE = 128
LARGEST_SIDE = 4096


def write_video_masks(
    workspace: Path,
    source: SourceVideo,
    frames: Mapping[tuple[str, ...], tuple[int, float]],
    size: tuple[int, int],
    frame_count: int,
    cut: tuple[float, float] = (0.0, 0.0),
    views: PanoramaViews | None = None,
) -> int:
    """`masks/<name>.png` of every keyframe, (height, width) = `size`, 255 counts and 0 is ignored; how many.

    `frames` gives the (index, time in seconds) of the keyframes by the names of their images, one of a flat video, and
    as many as `views` of a panorama, whose masks are panoramas too; `frame_count` is how many frames the video has: a
    mask video is matched by time, a folder of masks must have one for each frame. `cut` is what the keyframes lack of
    the stored width and height on either side (`VideoReader.cut`). Nothing is written, and 0 returned,
    for a video without masks. Raises `InputRejected` for masks that do not fit the video.
    """
    given = source.video_masks
    if not given or not frames:
        return 0
    if given[0].suffix.lower() in VIDEO_SUFFIXES:
        masks = _of_video(given[0], {names: time for names, (_, time) in frames.items()})
    elif len(given) == frame_count:
        masks = {names: _of_picture(given[index]) for names, (index, _) in frames.items()}
    else:
        raise InputRejected(
            f"the folder of masks holds {len(given)} pictures, the video {frame_count} frames: there must be one for"
            " each, in name order; or give a mask video."
        )
    folder = workspace / "masks"
    folder.mkdir(exist_ok=True)
    turns = round(float(source.probe().get("rotation_deg", 0)) / 90) % 4
    written = 0
    for names, mask in masks.items():
        if views is None:
            parts = [_fitted(mask, size, turns, cut, given[0].name)]
        else:
            around = _fitted(mask, (views.panorama_width // 2, views.panorama_width), turns, cut, given[0].name)
            parts = views.cut(around, nearest=True)
        for name, part in zip(names, parts, strict=True):
            Image.fromarray(part).save(folder / f"{name}.png")
            written += 1
    return written


def _of_video(path: Path, times: Mapping[tuple[str, ...], float]) -> dict[tuple[str, ...], Mask]:
    reader = VideoReader(path)
    moments = [(decoded.index, decoded.time_s) for decoded in reader.grays(16)]
    if not moments:
        raise InputRejected(f"{path.name}: no frame of the mask video decodes {reader.problem}; make it again.")
    there = np.array([time for _, time in moments])
    nearest = {name: int(np.abs(there - time).argmin()) for name, time in times.items()}
    for name, row in nearest.items():
        if abs(there[row] - times[name]) > FURTHEST_S:
            raise InputRejected(
                f"{path.name}: the mask video shows nothing at {times[name]:.1f} s (it covers {there.min():.1f} to"
                f" {there.max():.1f} s); it must run along with the whole video."
            )
    wanted = [moments[row] for row in sorted(set(nearest.values()))]
    # The bars of a mask are its own content.
    reader = VideoReader(path)
    masks = {decoded.index: decoded.array.mean(axis=2) for decoded in reader.pictures(wanted, LARGEST_SIDE)}
    if len(masks) != len(wanted):
        raise InputRejected(f"{path.name}: {len(wanted) - len(masks)} masks do not decode; make the mask video again.")
    return {name: _black_and_white(masks[moments[row][0]] >= WHITE) for name, row in nearest.items()}


def _of_picture(path: Path) -> Mask:
    try:
        with Image.open(path, formats=("PNG", "JPEG")) as image:
            levels = np.asarray(image.convert("L"))
    except Exception as error:  # Pillow raises many kinds on damaged files
        raise InputRejected(f"{path.name}: the mask cannot be read ({type(error).__name__}); make it again.") from error
    return _black_and_white(levels >= WHITE if levels.max(initial=0) > 1 else levels > 0)


def _black_and_white(counts: npt.NDArray[np.bool_]) -> Mask:
    return np.where(counts, 255, 0).astype(np.uint8)


def _fitted(mask: Mask, size: tuple[int, int], turns: int, cut: tuple[float, float], name: str) -> Mask:
    """Cut like the keyframe and at its size. Tools make masks of the upright picture, or of the pixels as stored, a
    quarter turn (`turns`, counter-clockwise) from it; the shape tells which.
    """
    height, width = size
    across, down = cut[::-1] if turns % 2 else cut
    whole_width, whole_height = width / (1 - 2 * across), height / (1 - 2 * down)
    if turns % 2 and (mask.shape[1] > mask.shape[0]) != (whole_width > whole_height):
        mask = np.rot90(mask, turns)
    x, y = round(across * mask.shape[1]), round(down * mask.shape[0])
    mask = mask[y : mask.shape[0] - y, x : mask.shape[1] - x]
    if abs(mask.shape[1] / mask.shape[0] - width / height) > 0.02 * width / height:
        raise InputRejected(
            f"{name}: the masks are {mask.shape[1]}x{mask.shape[0]}, not the shape of the video ({width}x{height});"
            " remake them."
        )
    return np.asarray(Image.fromarray(mask).resize((width, height), Image.Resampling.NEAREST))
