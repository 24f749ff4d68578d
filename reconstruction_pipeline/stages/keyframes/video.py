"""Keyframes of a video: measure every frame, choose, write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.artifacts.errors import InputRejected
from reconstruction_pipeline.artifacts.progress import Progress
from reconstruction_pipeline.artifacts.source_video import SourceVideo
from reconstruction_pipeline.artifacts.verdict import Verdict
from reconstruction_pipeline.stages.keyframes import tables
from reconstruction_pipeline.stages.keyframes.analysis import SHARPNESS_SIZE, Analysis, analyse
from reconstruction_pipeline.stages.keyframes.decode import VideoReader
from reconstruction_pipeline.stages.keyframes.gates import video_gates
from reconstruction_pipeline.stages.keyframes.images import gray_of, write_jpeg
from reconstruction_pipeline.stages.keyframes.previews import contact_sheet, plot_selection
from reconstruction_pipeline.stages.keyframes.selection import Selection, select
from reconstruction_pipeline.stages.keyframes.settings import KeyframeSettings
from reconstruction_pipeline.stages.keyframes.sharpness import blur_extent
from reconstruction_pipeline.stages.keyframes.side_data import write_video_gps


def from_video(
    source: SourceVideo, settings: KeyframeSettings, workspace: Path, progress: Progress
) -> tuple[dict[str, Any], Verdict]:
    """Fill `workspace` from a video; (metrics, verdict)."""
    probe = source.probe()
    name = probe.get("name", source.media.name)
    reader = VideoReader(source.media, probe.get("stream"))
    analysis = analyse(reader, int(probe["frames"]), float(probe["rate_hz"]), progress)
    if len(analysis.times) < settings.min_frames:
        raise InputRejected(
            f"{name}: only {len(analysis.times)} of {probe['frames']} frames can be decoded{_why(reader)}; at least"
            f" {settings.min_frames} frames and {settings.min_duration_s:g} s are needed, copy the file again."
        )
    selection = select(analysis, settings)
    written = _write_images(reader, analysis, selection, settings, workspace, progress)
    names, blurs, (height, width) = written
    _write_tables(workspace, analysis, selection, names, blurs, width, height)
    tables.write_camera(workspace / "camera.json", True, width, height, None)
    times = analysis.times[selection.chosen]
    write_video_gps(workspace, source.gps(), dict(zip(names, times.tolist(), strict=True)))
    images = [workspace / "images" / n for n in names]
    contact_sheet(workspace / "previews" / "contact_sheet.jpg", images, [f"{t:.1f} s" for t in times])
    plot_selection(
        workspace / "previews" / "sharpness_motion.jpg",
        analysis.times,
        analysis.sharpness,
        analysis.progress,
        selection.chosen,
    )
    blur = float(np.median(blurs))
    metrics = {
        "frames_decoded": len(analysis.times),
        "selected": len(names),
        "duration_s": round(float(np.ptp(analysis.times)), 3),
        "scenes": int(analysis.scene.max()) + 1,
        "width": width,
        "height": height,
        "median_sharpness": round(float(np.median(analysis.sharpness[selection.chosen])), 6),
        "blur": round(blur, 4),
        "motion_fraction": round(float(np.ptp(analysis.progress[analysis.scene == selection.scene])), 4),
        "parallax": None if analysis.parallax is None else round(analysis.parallax, 4),
        "trackable": round(analysis.trackable, 4),
        "backend": "pyav",
    }
    return metrics, Verdict.of(video_gates(analysis, selection, blur, float(probe["duration_s"]), settings))


def _write_images(
    reader: VideoReader,
    analysis: Analysis,
    selection: Selection,
    settings: KeyframeSettings,
    workspace: Path,
    progress: Progress,
) -> tuple[list[str], list[float], tuple[int, int]]:
    """Second pass: (names, blur of each, (height, width))."""
    wanted = list(zip(selection.chosen.tolist(), analysis.times[selection.chosen].tolist(), strict=True))
    names: list[str] = []
    blurs: list[float] = []
    size = (0, 0)
    for decoded in reader.pictures(wanted, settings.max_size):
        rgb = decoded.array
        names.append(f"{len(names) + 1:05d}.jpg")
        write_jpeg(workspace / "images" / names[-1], rgb, settings.jpeg_quality)
        blurs.append(blur_extent(gray_of(rgb, SHARPNESS_SIZE)))
        size = rgb.shape[:2]
        progress.report("keyframes", len(names), len(wanted), "writing keyframes")
    if len(names) != len(wanted):
        why = f"the decoder {reader.problem}" if reader.problem else "the file changed meanwhile"
        at = wanted[len(names)][1]
        raise InputRejected(
            f"{reader.path.name}: the frame at {at:.1f} s cannot be decoded twice ({why}); copy the file again."
        )
    return names, blurs, size


def _why(reader: VideoReader) -> str:
    return f" (the decoder {reader.problem})" if reader.problem else ""


def _write_tables(
    workspace: Path,
    analysis: Analysis,
    selection: Selection,
    names: list[str],
    blurs: list[float],
    width: int,
    height: int,
) -> None:
    """`candidates.csv`, a row a frame, and `keyframes.csv`, a row an image; motion since the row before."""
    diagonal = float(np.hypot(width, height))
    scene_starts = np.diff(analysis.scene, prepend=0) != 0
    step = np.where(scene_starts, 0.0, np.diff(analysis.progress, prepend=0.0)) * diagonal
    name_of = dict(zip(selection.chosen.tolist(), names, strict=True))
    tables.write_table(
        workspace / "candidates.csv",
        (
            {
                "frame": i,
                "name": name_of.get(i, ""),
                "timestamp_s": float(analysis.times[i]),
                "sharpness": float(analysis.sharpness[i]),
                "motion_px": float(step[i]),
                "scene": int(analysis.scene[i]),
                "chosen": int(i in name_of),
                "reason": selection.reasons[i],
            }
            for i in range(len(analysis.times))
        ),
    )
    travelled: npt.NDArray[np.float64] = analysis.progress[selection.chosen] * diagonal
    moved = np.diff(travelled, prepend=travelled[0])
    tables.write_table(
        workspace / "keyframes.csv",
        (
            {
                "name": name,
                "timestamp_s": float(analysis.times[i]),
                "sharpness": float(analysis.sharpness[i]),
                "motion_px": float(moved[row]),
                "blur": blurs[row],
                "frame": int(i),
                "width": width,
                "height": height,
                "focal_px": None,
            }
            for row, (i, name) in enumerate(zip(selection.chosen.tolist(), names, strict=True))
        ),
    )
