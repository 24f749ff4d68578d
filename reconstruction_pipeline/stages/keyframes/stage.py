"""Keyframe selection: the entry function for videos and photo sets."""

from __future__ import annotations

import time
from pathlib import Path

from reconstruction_pipeline.artifacts.keyframes import Keyframes
from reconstruction_pipeline.artifacts.progress import NullProgress, Progress
from reconstruction_pipeline.artifacts.source_video import SourceVideo
from reconstruction_pipeline.stages.keyframes.settings import KeyframeSettings


def select_keyframes(
    source: SourceVideo, settings: KeyframeSettings, workspace: Path, progress: Progress | None = None
) -> Keyframes:
    """Choose the frames worth reconstructing and write them, upright and in sRGB, into `workspace`.

    A video is read twice: once to measure sharpness and motion of every frame, once to write the sharpest
    frame of each stretch of motion. Photos are all kept, up to `settings.count`.
    Raises `InputRejected` when too little decodes to show anything; every weaker doubt is a gate of the verdict.
    """
    started = time.perf_counter()
    progress = progress or NullProgress()
    (workspace / "images").mkdir(parents=True, exist_ok=True)
    if source.is_photos:
        from reconstruction_pipeline.stages.keyframes.photos import from_photos

        metrics, verdict = from_photos(source, settings, workspace, progress)
    else:
        from reconstruction_pipeline.stages.keyframes.video import from_video

        metrics, verdict = from_video(source, settings, workspace, progress)
    metrics |= {"seconds": round(time.perf_counter() - started, 3), "fallback_level": 0}
    return Keyframes(workspace, metrics, verdict)
