"""The COLMAP projects that training is measured on, made once by our own pipeline where they are not there."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

DATA = Path(os.environ.get("RECONSTRUCTION_TEST_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
CACHE = Path("storage") / "bench"
SAMPLE = "sample"
VIDEOS = {"apple_handheld": "videos/apple_handheld.mp4"}
CAPTURES = VIDEOS | {"desk_handheld": "videos/desk_handheld.mp4", "fox": "fox/images"}


def fox_480() -> Path | None:
    """The undistorted fox, 43 + 7 views of 269x480, or None where the captures are not here."""
    folder = DATA / "fox_480"
    return folder if folder.is_dir() else None


def project(name: str, cache: Path = CACHE) -> Path | None:
    """Undistorted images and poses of the sample or of one of CAPTURES; None where the capture is not here."""
    done = cache / "projects" / name
    if (done / "sparse" / "0" / "cameras.bin").is_file():
        return done
    from reconstruction_pipeline.presets import PRESETS
    from reconstruction_pipeline.sample import make_sample
    from reconstruction_pipeline.stages.ingest import ingest
    from reconstruction_pipeline.stages.keyframes import select_keyframes
    from reconstruction_pipeline.stages.poses import estimate_poses

    video = make_sample(cache / "sample", "demo").video if name == SAMPLE else DATA / CAPTURES[name]
    if not video.exists():
        return None
    partial = cache / "projects" / f".{name}"
    shutil.rmtree(partial, ignore_errors=True)
    balanced = PRESETS["balanced"]
    keyframes = select_keyframes(ingest(video, partial / "source"), balanced.keyframes, partial / "keyframes")
    estimate_poses(keyframes, balanced.camera_poses, partial / "poses")
    (partial / "poses").rename(done)
    shutil.rmtree(partial)
    return done
