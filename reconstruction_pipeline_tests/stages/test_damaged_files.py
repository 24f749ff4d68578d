"""Decoders fed damaged copies of small files: they never crash, hang past the limit or take more than their memory."""

from __future__ import annotations

import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from reconstruction_pipeline.artifacts.guarded import ChildFailed, ChildLimits, GuardedChild
from reconstruction_pipeline.stages.ingest import ingest
from reconstruction_pipeline.stages.keyframes import KeyframeSettings, select_keyframes
from reconstruction_pipeline_tests.stages.captures import real_capture, sliding_frames, write_video
from reconstruction_pipeline_tests.stages.damage import damaged
from reconstruction_pipeline_tests.stages.heif_files import write_heic

WORKER = "reconstruction_pipeline_tests.stages.damage_worker"
LIMITS = ChildLimits(memory_mb=2000, stall_s=60)
SEED = 20261121
# What phones wrote: HEVC of 10 bits with HLG, data tracks and an edit list; H.264 uneven in time, cut, standing still.
REAL_VIDEOS = (
    "bad/hlg10bit_hevc_rot90_editlist_86f.mp4",
    "bad/vfr_alvaar.mp4",
    "bad/two_unrelated_scenes_cut.mp4",
    "bad/static_single_photo_6s.mp4",
)
REAL_PHOTOS = ("gps_lund/01.jpg", "bad/jpeg_renamed.mp4")


def encode(path: Path, codec: str, frames: list[np.ndarray], options: dict[str, str], pixels: str = "yuv420p") -> Path:
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=15)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt, stream.options = pixels, options
        for image in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A small file of every kind that is decoded."""
    folder, frames = tmp_path_factory.mktemp("whole"), sliding_frames(18, 160, 96)
    fast = {"preset": "ultrafast"}
    videos = [
        encode(folder / "h264.mp4", "libx264", frames, fast),
        encode(folder / "h264.ts", "libx264", frames, fast),
        encode(folder / "hevc.mov", "libx265", frames, {**fast, "x265-params": "log-level=0"}, "yuv420p10le"),
        encode(folder / "vp9.webm", "libvpx-vp9", frames, {"deadline": "realtime", "cpu-used": "8"}),
        encode(folder / "av1.mkv", "libsvtav1", frames, {"preset": "12"}),
        encode(folder / "prores.mov", "prores_ks", frames, {}, "yuv422p10le"),
        encode(folder / "mjpeg.avi", "mjpeg", frames, {}, "yuvj420p"),
    ]
    photos = [folder / "photo.jpg", folder / "photo.png"]
    for photo in photos:
        Image.fromarray(frames[0]).save(photo)
    photos.append(write_heic(folder / "photo.heic", frames[0]))
    archive = folder / "photos.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as zipped:
        for number in range(9):
            zipped.write(photos[0], f"{number}.jpg")
    return [*videos, *photos, archive]


def outcomes(files: list[Path], seeds: range, work: Path) -> list[dict[str, Any]]:
    """How each damaged copy ended; fails with the name of the one that took the reader with it."""
    request = {"files": [str(file) for file in files], "seeds": list(seeds), "work": str(work)}
    found, last = [], "none"
    try:
        with GuardedChild(WORKER, request, LIMITS) as child:
            for document, _ in child.messages():
                last = document.get("begins", last)
                if "outcome" in document:
                    found.append(document)
    except ChildFailed as failure:
        pytest.fail(f"{last}: the decoder {failure}")
    return found


def judge(found: list[dict[str, Any]], count: int) -> None:
    assert len(found) == count
    tally = Counter(document["outcome"].split(":")[0] for document in found)
    assert not [document for document in found if document["outcome"].startswith("bad sentence")]
    assert tally["memory"] <= count / 50, "rarely does a length claim more than the limit"
    # The damage is real and not total: some copies are refused, some give pictures.
    assert tally["rejected"] + tally["lost"] > count / 20, tally
    assert tally["decoded"] + tally["partly"] + tally["photos"] > count / 5, tally


def test_fifty_damaged_files(files: list[Path], tmp_path: Path) -> None:
    judge(outcomes(files, range(SEED, SEED + 50), tmp_path), 50)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("part", range(10))
def test_five_hundred_damaged_files(files: list[Path], tmp_path: Path, part: int) -> None:
    first = SEED + 1000 + 50 * part
    judge(outcomes(files, range(first, first + 50), tmp_path), 50)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("part", range(5))
def test_five_hundred_damaged_captures(tmp_path: Path, part: int) -> None:
    captures = [real_capture(name) for name in REAL_VIDEOS]
    for number, name in enumerate(REAL_PHOTOS):
        captures.append(tmp_path / f"photo_{number}.jpg")
        captures[-1].write_bytes(real_capture(name).read_bytes())
    first = SEED + 2000 + 100 * part
    judge(outcomes(captures, range(first, first + 100), tmp_path), 100)


@pytest.mark.parametrize(
    "seed", [0, 1, 3, pytest.param(10, marks=pytest.mark.soak), pytest.param(19, marks=pytest.mark.soak)]
)
def test_a_damaged_video_through_the_stages(tmp_path: Path, seed: int) -> None:
    """Either a sentence, or keyframes whose verdict tells of the damage or does not need to."""
    from reconstruction_pipeline.artifacts.errors import ReconstructionError

    whole = write_video(tmp_path / "whole.mp4", sliding_frames(24, 160, 96))
    path = tmp_path / "walk.mp4"
    path.write_bytes(damaged(whole.read_bytes(), seed)[1])
    try:
        source = ingest(path, tmp_path / "source")
        result = select_keyframes(source, KeyframeSettings(count=10), tmp_path / "keyframes")
    except ReconstructionError as error:
        assert "\n" not in str(error) and "mp4" in str(error)
    else:
        result.validate()
        assert result.verdict.gates
