"""Keyframes of a video: measure every frame, choose, write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from reconstruction_pipeline.artifacts.camera_rig import write_views
from reconstruction_pipeline.artifacts.errors import InputRejected
from reconstruction_pipeline.artifacts.progress import Progress
from reconstruction_pipeline.artifacts.source_video import SourceVideo
from reconstruction_pipeline.artifacts.verdict import Verdict
from reconstruction_pipeline.stages.keyframes import tables
from reconstruction_pipeline.stages.keyframes.analysis import SHARPNESS_SIZE, Analysis, analyse
from reconstruction_pipeline.stages.keyframes.decode import VideoReader
from reconstruction_pipeline.stages.keyframes.gates import video_gates
from reconstruction_pipeline.stages.keyframes.images import gray_of, write_jpeg
from reconstruction_pipeline.stages.keyframes.panorama import PanoramaViews, for_panoramas, views_of
from reconstruction_pipeline.stages.keyframes.previews import contact_sheet, plot_selection
from reconstruction_pipeline.stages.keyframes.selection import Selection, select
from reconstruction_pipeline.stages.keyframes.settings import KeyframeSettings
from reconstruction_pipeline.stages.keyframes.sharpness import blur_extent
from reconstruction_pipeline.stages.keyframes.side_data import write_video_gps
from reconstruction_pipeline.stages.keyframes.stretches import Stretch, find_stretches
from reconstruction_pipeline.stages.keyframes.video_masks import write_video_masks

# In the metrics; the messages and the plot tell the rest.
MOST_STRETCHES = 12


def from_video(
    source: SourceVideo, settings: KeyframeSettings, workspace: Path, progress: Progress
) -> tuple[dict[str, Any], Verdict]:
    """Fill `workspace` from a video; (metrics, verdict)."""
    probe = source.probe()
    name = probe.get("name", source.media.name)
    views = views_of(probe, settings)
    # What is black at the edges of a panorama is a part of the way around.
    reader = VideoReader(source.media, probe.get("stream"), cut_bars=views is None)
    analysis = analyse(reader, int(probe["frames"]), float(probe["rate_hz"]), progress, all_around=views is not None)
    if len(analysis.times) < settings.min_frames:
        raise InputRejected(
            f"{name}: only {len(analysis.times)} of {probe['frames']} frames can be decoded{_why(reader)}; at least"
            f" {settings.min_frames} frames and {settings.min_duration_s:g} s are needed, copy the file again."
        )
    selection = select(analysis, settings if views is None else for_panoramas(settings, views))
    shots, blurs, (height, width) = _write_images(reader, analysis, selection, views, settings, workspace, progress)
    names = [name for shot in shots for name in shot]
    focal = None if views is None else views.focal_px
    if views is not None:
        write_views(workspace / "rig.json", views.rotations)
    tables.write_candidates(workspace / "candidates.csv", analysis, selection, shots, float(np.hypot(width, height)))
    tables.write_chosen(workspace / "keyframes.csv", analysis, selection, shots, blurs, (width, height), focal)
    tables.write_camera(workspace / "camera.json", True, width, height, focal)
    times = analysis.times[selection.chosen]
    moments = {name: time for shot, time in zip(shots, times.tolist(), strict=True) for name in shot}
    write_video_gps(workspace, source.gps(), moments)
    places = dict(zip(shots, zip(selection.chosen.tolist(), times.tolist(), strict=True), strict=True))
    write_video_masks(workspace, source, places, (height, width), len(analysis.times), reader.cut, views)
    stretches = find_stretches(analysis, selection, settings)
    _write_previews(workspace, analysis, selection, stretches, [shot[0] for shot in shots])
    blur = float(np.median(blurs))
    parallax = analysis.parallax(selection.scene)
    metrics = {
        "frames_decoded": len(analysis.times),
        "selected": len(names),
        "projection": "flat" if views is None else "equirectangular",
        "views": 1 if views is None else len(views.rotations),
        "bars_cut": round(2 * max(reader.cut), 4),
        "for_poses_only": int((~selection.train).sum()),
        "duration_s": round(float(np.ptp(analysis.times)), 3),
        "scenes": int(analysis.scene.max()) + 1,
        "width": width,
        "height": height,
        "median_sharpness": round(float(np.median(analysis.sharpness[selection.chosen])), 6),
        "median_relative_sharpness": round(float(np.median(selection.relative[selection.chosen])), 4),
        "blur": round(blur, 4),
        "motion_fraction": round(float(np.ptp(analysis.progress[analysis.scene == selection.scene])), 4),
        "largest_gap_fraction": round(selection.largest_gap, 4),
        "parallax": None if parallax is None else round(parallax, 4),
        "trackable": round(analysis.samples.followed, 4),
        "weak_stretches": [
            {"kind": s.kind, "from_s": round(s.first_s, 2), "to_s": round(s.last_s, 2)}
            for s in stretches[:MOST_STRETCHES]
        ],
        "backend": "pyav",
        "decoder": reader.decoder,
    }
    gates = video_gates(analysis, selection, stretches, blur, float(probe["duration_s"]), settings)
    return metrics, Verdict.of(gates)


def _write_previews(
    workspace: Path, analysis: Analysis, selection: Selection, stretches: list[Stretch], names: list[str]
) -> None:
    times = analysis.times[selection.chosen]
    images = [workspace / "images" / n for n in names]
    contact_sheet(
        workspace / "previews" / "contact_sheet.jpg",
        images,
        [f"{t:.1f} s" for t in times],
        selection.train.tolist(),
    )
    plot_selection(workspace / "previews" / "sharpness_motion.jpg", analysis, selection, stretches)


def _write_images(
    reader: VideoReader,
    analysis: Analysis,
    selection: Selection,
    views: PanoramaViews | None,
    settings: KeyframeSettings,
    workspace: Path,
    progress: Progress,
) -> tuple[list[tuple[str, ...]], list[float], tuple[int, int]]:
    """Second pass: (names of the images of each chosen frame, blur of each frame, (height, width) of an image)."""
    wanted = list(zip(selection.chosen.tolist(), analysis.times[selection.chosen].tolist(), strict=True))
    shots: list[tuple[str, ...]] = []
    blurs: list[float] = []
    size = (0, 0)
    for decoded in reader.pictures(wanted, settings.max_size if views is None else views.panorama_width):
        pictures = [decoded.array] if views is None else views.cut(decoded.array)
        number = f"{len(shots) + 1:05d}"
        shots.append(tuple(f"{number}{'' if views is None else f'_{view}'}.jpg" for view in range(len(pictures))))
        for name, rgb in zip(shots[-1], pictures, strict=True):
            write_jpeg(workspace / "images" / name, rgb, settings.jpeg_quality)
        blurs.append(float(np.median([blur_extent(gray_of(rgb, SHARPNESS_SIZE)) for rgb in pictures])))
        size = pictures[0].shape[:2]
        progress.report("keyframes", len(shots), len(wanted), "writing keyframes")
    if len(shots) != len(wanted):
        why = f"the decoder {reader.problem}" if reader.problem else "the file changed meanwhile"
        at = wanted[len(shots)][1]
        raise InputRejected(
            f"{reader.path.name}: the frame at {at:.1f} s cannot be decoded twice ({why}); copy the file again."
        )
    return shots, blurs, size


def _why(reader: VideoReader) -> str:
    return f" (the decoder {reader.problem})" if reader.problem else ""
