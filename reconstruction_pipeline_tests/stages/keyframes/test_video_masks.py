from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reconstruction_pipeline.artifacts.errors import InputRejected
from reconstruction_pipeline.artifacts.keyframes import Keyframes
from reconstruction_pipeline.stages.ingest import content_sha256, ingest
from reconstruction_pipeline.stages.ingest.side_files import is_video_mask, video_masks_of
from reconstruction_pipeline.stages.keyframes import KeyframeSettings, select_keyframes
from reconstruction_pipeline_tests.stages.captures import Rgb, sliding_frames, write_video

FRAMES = 36


def mask(number: int, height: int = 96, width: int = 160) -> Rgb:
    """White but for a black bar that moves with the frame's number."""
    picture = np.full((height, width, 3), 255, np.uint8)
    picture[:, number * 3 : number * 3 + 32] = 0
    return picture


def bar_at(keyframes: Keyframes, name: str) -> float:
    """First black column of a keyframe's mask."""
    path = keyframes.mask_path(name)
    assert path
    with Image.open(path) as image:
        assert image.mode == "L" and image.size == (160, 96)
        levels = np.asarray(image)
    assert set(np.unique(levels)) == {0, 255}
    return float(np.flatnonzero(levels[48] == 0)[0])


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return write_video(tmp_path / "walk.mp4", sliding_frames(FRAMES, 160, 96))


def keyframes_of(video: Path, tmp_path: Path) -> Keyframes:
    source = ingest(video, tmp_path / "source")
    source.validate()
    assert source.media.name == "video.mp4"
    result = select_keyframes(source, KeyframeSettings(count=10), tmp_path / "keyframes")
    result.validate()
    return result


def assert_masks_move_with_the_frames(result: Keyframes) -> None:
    table = result.table()
    assert len(table) >= 8
    for name, time_s in zip(table["name"], table["timestamp_s"], strict=True):
        # A mask video of half the rate shows the frame before or after.
        assert abs(bar_at(result, name) - 3 * round(time_s * 15)) <= 4


@pytest.mark.parametrize("rate", [15, 8])
def test_a_mask_video_is_matched_by_time(video: Path, tmp_path: Path, rate: int) -> None:
    times = np.arange(0, FRAMES / 15, 1 / rate)
    write_video(tmp_path / "walk_mask.mp4", [mask(round(t * 15)) for t in times], rate=rate)
    if rate == 15:
        assert_masks_move_with_the_frames(keyframes_of(video, tmp_path))
    else:
        result = keyframes_of(video, tmp_path)
        assert all(result.mask_path(name) for name in result.table()["name"])


def test_a_folder_of_masks_has_one_for_each_frame(video: Path, tmp_path: Path) -> None:
    folder = tmp_path / "walk_masks"
    folder.mkdir()
    for number in range(FRAMES):
        Image.fromarray(mask(number)).save(folder / f"{number:05d}.png")
    assert_masks_move_with_the_frames(keyframes_of(video, tmp_path))
    (folder / "00003.png").unlink()
    with pytest.raises(InputRejected, match=r"35 pictures, the video 36 frames"):
        keyframes_of(video, tmp_path / "again")


def test_masks_of_the_stored_pixels_are_turned_like_the_video(tmp_path: Path) -> None:
    video = write_video(tmp_path / "walk.mp4", sliding_frames(FRAMES, 160, 96), rotation_deg=90)
    write_video(tmp_path / "walk_mask.mp4", [mask(n) for n in range(FRAMES)])
    source = ingest(video, tmp_path / "source")
    result = select_keyframes(source, KeyframeSettings(count=10), tmp_path / "keyframes")
    name = str(result.table()["name"][0])
    with Image.open(result.path("masks", f"{name}.png")) as image:
        assert image.size == (96, 160)
        rows = np.flatnonzero(np.asarray(image)[:, 48] == 0)
    # Turned counter-clockwise, what was left is below.
    assert rows[-1] > 140


@pytest.mark.parametrize(
    ("pictures", "says"),
    [
        ([mask(n) for n in range(12)], "shows nothing at"),
        ([mask(n, 160, 160) for n in range(FRAMES)], "not the shape of the video"),
    ],
    ids=["too short", "another shape"],
)
def test_masks_that_do_not_fit_are_refused(video: Path, tmp_path: Path, pictures: list[Rgb], says: str) -> None:
    write_video(tmp_path / "walk_mask.mp4", pictures)
    with pytest.raises(InputRejected, match=says) as caught:
        keyframes_of(video, tmp_path)
    assert "\n" not in str(caught.value)


def test_masks_are_content(video: Path, tmp_path: Path) -> None:
    bare = content_sha256(video)
    write_video(tmp_path / "Walk-Masks.mov", [mask(n) for n in range(FRAMES)])
    source = ingest(video, tmp_path / "source")
    assert source.metrics["sha256"] == content_sha256(video) == content_sha256(source.media) != bare
    assert [path.name for path in source.video_masks] == ["video_mask.mov"]


def test_names_of_masks(tmp_path: Path) -> None:
    for name in ("walk.mp4", "walk_mask.mp4", "walk 2.mp4", "other_mask.mp4"):
        (tmp_path / name).touch()
    assert [path.name for path in video_masks_of(tmp_path / "walk.mp4")] == ["walk_mask.mp4"]
    assert video_masks_of(tmp_path / "walk 2.mp4") == []
    names = [path.name for path in tmp_path.iterdir()]
    assert [name for name in names if is_video_mask(name, names)] == ["walk_mask.mp4"]
