from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from reconstruction_pipeline.artifacts.errors import Cancelled
from reconstruction_pipeline.artifacts.keyframes import Keyframes
from reconstruction_pipeline.artifacts.progress import RecordingProgress
from reconstruction_pipeline.stages.ingest import ingest
from reconstruction_pipeline.stages.keyframes import KeyframeSettings, select_keyframes
from reconstruction_pipeline_tests.stages.captures import RoomCorner, real_capture, sliding_frames, texture, write_video

SETTINGS = KeyframeSettings(count=12, max_size=640)


def keyframes_of(path: Path, tmp_path: Path, settings: KeyframeSettings = SETTINGS) -> Keyframes:
    result = select_keyframes(ingest(path, tmp_path / "source"), settings, tmp_path / "keyframes")
    result.validate()
    return result


def failed(keyframes: Keyframes) -> set[str]:
    return {gate.name for gate in keyframes.verdict.gates if not gate.passed}


def test_a_moving_video_gives_sharp_spread_frames_with_their_times(tmp_path: Path) -> None:
    room = RoomCorner(320, 240, 270.0)
    frames = [room.render(*room.camera(angle)) for angle in np.linspace(-0.4, 0.4, 45)]
    blurred = {i for i in range(45) if i % 3}
    frames = [cv2.GaussianBlur(f, (0, 0), 2.5) if i in blurred else f for i, f in enumerate(frames)]
    result = keyframes_of(write_video(tmp_path / "walk.mp4", frames), tmp_path)
    table = result.table()
    assert failed(result) == set()
    assert 8 <= len(table) <= 12
    picked = (table["timestamp_s"] * 15).round().astype(int)
    assert not blurred & set(picked), "a sharp frame was in every window"
    assert (table["timestamp_s"].diff().dropna() > 0).all()
    assert result.camera() == {"ordered": True, "width": 320, "height": 240, "focal_px": None}
    # The written picture is the frame of that time.
    first = np.asarray(Image.open(result.path("images", table["name"][0])), float)
    assert np.abs(first.mean(axis=2) - frames[picked[0]].mean(axis=2)).mean() < 6
    candidates = np.genfromtxt(result.path("candidates.csv"), delimiter=",", names=True, usecols=range(7))
    assert len(candidates) == 45
    assert candidates["chosen"].sum() == len(table)
    assert (table["train"] == 1).all()
    assert result.metrics["frames_decoded"] == 45
    assert result.metrics["selected"] == len(table)


def test_previews_are_small(tmp_path: Path) -> None:
    result = keyframes_of(write_video(tmp_path / "walk.mp4", sliding_frames(45)), tmp_path)
    assert [p.name for p in result.previews()] == ["contact_sheet.jpg", "sharpness_motion.jpg"]
    assert all(p.stat().st_size <= 60_000 for p in result.previews())


def test_variable_rate_keeps_true_times(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    times = np.cumsum(rng.choice([0.033, 0.066, 0.1], 45))
    video = write_video(tmp_path / "vfr.mkv", sliding_frames(45), rate=30, times_s=times - times[0])
    result = keyframes_of(video, tmp_path)
    chosen = result.table()["timestamp_s"].to_numpy()
    assert all(np.abs(times - times[0] - t).min() < 0.002 for t in chosen)
    assert result.metrics["duration_s"] == pytest.approx(times[-1] - times[0], abs=0.01)


def test_the_display_matrix_is_applied(tmp_path: Path) -> None:
    frames = sliding_frames(30, 160, 96)
    flat = write_video(tmp_path / "flat.mp4", frames)
    turned = write_video(tmp_path / "turned.mp4", frames, rotation_deg=90)
    one, two = keyframes_of(flat, tmp_path / "1"), keyframes_of(turned, tmp_path / "2")
    name = one.table()["name"][0]
    upright = np.asarray(Image.open(two.path("images", name)), float)
    assert upright.shape == (160, 96, 3)
    same = np.rot90(np.asarray(Image.open(one.path("images", name)), float))
    assert np.abs(upright - same).mean() < 3


def test_a_large_source_is_scaled_down(tmp_path: Path) -> None:
    video = write_video(tmp_path / "walk.mp4", sliding_frames(20, 320, 240, step=8))
    result = keyframes_of(video, tmp_path, KeyframeSettings(count=10, max_size=160))
    assert (result.metrics["width"], result.metrics["height"]) == (160, 120)


@pytest.mark.parametrize(
    ("picture", "gate"),
    [(np.zeros((96, 160, 3), np.uint8), "content"), (texture(160)[:96], "not_static")],
    ids=["black", "one photo"],
)
def test_captures_without_anything_to_see_are_stopped(tmp_path: Path, picture: np.ndarray, gate: str) -> None:
    result = keyframes_of(write_video(tmp_path / "still.mp4", [picture] * 30), tmp_path)
    assert [g.name for g in result.verdict.blocking] == [gate]
    assert result.verdict.sentence()
    assert "sharp" not in failed(result), "nobody should move slower in the dark"


def test_noise_is_nothing_to_see(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 256, (96, 160, 3), dtype=np.uint8) for _ in range(30)]
    result = keyframes_of(write_video(tmp_path / "noise.mp4", frames), tmp_path)
    assert [g.name for g in result.verdict.blocking] == ["content"]


def test_turning_in_place_is_warned_of(tmp_path: Path) -> None:
    picture, focal = texture(1024), 260.0
    k = np.array([[focal, 0, 160], [0, focal, 120], [0, 0, 1.0]])
    wide = np.array([[focal, 0, 512], [0, focal, 512], [0, 0, 1.0]])
    frames = []
    for angle in np.linspace(-0.5, 0.5, 40):
        rotation = cv2.Rodrigues(np.array([0.0, angle, 0.0]))[0]
        frames.append(cv2.warpPerspective(picture, k @ rotation @ np.linalg.inv(wide), (320, 240)))
    result = keyframes_of(write_video(tmp_path / "turn.mp4", frames), tmp_path)
    assert failed(result) == {"parallax"}


def test_blur_throughout_is_warned_of(tmp_path: Path) -> None:
    frames = [cv2.GaussianBlur(cv2.resize(f, (640, 480)), (0, 0), 4.0) for f in sliding_frames(24, step=6)]
    # Coarse quantisation would add edges of its own.
    result = keyframes_of(write_video(tmp_path / "soft.mp4", frames, crf=2), tmp_path)
    assert "sharp" in failed(result)


def test_the_larger_of_two_scenes_is_kept(tmp_path: Path) -> None:
    frames = sliding_frames(40, seed=0) + sliding_frames(25, seed=50)
    result = keyframes_of(write_video(tmp_path / "cut.mp4", frames), tmp_path)
    assert failed(result) - {"parallax"} == {"one_scene"}
    assert result.table()["timestamp_s"].max() < 40 / 15
    assert [p.name for p in result.previews()] == ["contact_sheet.jpg", "sharpness_motion.jpg"]
    assert "2.7-4.3 s" in next(g.message for g in result.verdict.warnings if g.name == "one_scene")


def test_a_scene_that_returns_after_a_cut_is_one_scene(tmp_path: Path) -> None:
    walk, insert = sliding_frames(50, seed=0), sliding_frames(20, seed=50)
    video = write_video(tmp_path / "insert.mp4", walk[:25] + insert + walk[25:])
    result = keyframes_of(video, tmp_path)
    assert "one_scene" in failed(result)
    chosen = result.table()["timestamp_s"].to_numpy() * 15
    assert (chosen < 25).sum() >= 3
    assert (chosen >= 45).sum() >= 3
    assert not ((chosen > 24.5) & (chosen < 44.5)).any()
    message = next(g.message for g in result.verdict.warnings if g.name == "one_scene")
    assert "0.0-1.6 s, 3.0-4.6 s is used, not 1.7-2.9 s" in message


def test_a_blurred_stretch_is_told_and_only_links_the_path(tmp_path: Path) -> None:
    room = RoomCorner(320, 240, 270.0)
    frames = [room.render(*room.camera(angle)) for angle in np.linspace(-0.9, 0.9, 60)]
    frames = [cv2.GaussianBlur(f, (0, 0), 3.0) if 16 <= i < 45 else f for i, f in enumerate(frames)]
    result = keyframes_of(write_video(tmp_path / "walk.mp4", frames), tmp_path, KeyframeSettings(count=24))
    table = result.table()
    soft = table[table["train"] == 0]
    assert 1 <= len(soft) <= 4
    assert soft["timestamp_s"].between(16 / 15 - 0.01, 45 / 15).all()
    assert not table[table["train"] == 1]["timestamp_s"].between(16 / 15, 44 / 15).any()
    sharp = next(g for g in result.verdict.gates if g.name == "sharp")
    assert "blurred against the rest: 1.1-2.9 s" in sharp.message
    assert not sharp.passed and "light" in sharp.advice
    assert result.metrics["for_poses_only"] == len(soft)
    assert result.not_for_training() == set(soft["name"])


def test_what_decodes_of_a_damaged_video_is_used(tmp_path: Path) -> None:
    video = write_video(tmp_path / "walk.mp4", sliding_frames(60), options={"movflags": "faststart"})
    video.write_bytes(video.read_bytes()[: video.stat().st_size * 6 // 10])
    result = keyframes_of(video, tmp_path)
    assert failed(result) - {"parallax"} == {"complete"}
    assert 10 < result.metrics["frames_decoded"] < 50


def test_cancelling_stops_at_once(tmp_path: Path) -> None:
    source = ingest(write_video(tmp_path / "walk.mp4", sliding_frames(45)), tmp_path / "source")
    with pytest.raises(Cancelled):
        select_keyframes(source, SETTINGS, tmp_path / "keyframes", RecordingProgress(cancel_after=2))


def photo_set(folder: Path, count: int = 9) -> Path:
    folder.mkdir()
    for i, frame in enumerate(sliding_frames(count, 160, 96, step=12)):
        exif = Image.Exif()
        if i == 0:
            frame = np.ascontiguousarray(np.rot90(frame))
            exif[0x0112] = 6  # to be turned clockwise for viewing
        exif.get_ifd(0x8769)[0xA405] = 27
        Image.fromarray(frame).save(folder / f"IMG {i:02d}.jpg", quality=95, exif=exif)
    return folder


def test_photos_are_upright_and_carry_their_focal_length(tmp_path: Path) -> None:
    result = keyframes_of(photo_set(tmp_path / "photos"), tmp_path)
    table = result.table()
    assert list(table["name"]) == [f"IMG_{i:02d}.jpg" for i in range(9)]
    assert result.camera() == {"ordered": False, "width": 160, "height": 96, "focal_px": pytest.approx(27 / 36 * 160)}
    turned = np.asarray(Image.open(result.path("images", "IMG_00.jpg")), float)
    expected = sliding_frames(1, 160, 96)[0]
    assert np.abs(turned - expected).mean() < 6
    assert not Image.open(result.path("images", "IMG_00.jpg")).getexif()
    assert result.verdict.ok


def test_a_damaged_photo_is_named_and_left_out(tmp_path: Path) -> None:
    folder = photo_set(tmp_path / "photos", 10)
    good = (folder / "IMG 05.jpg").read_bytes()
    (folder / "IMG 05.jpg").write_bytes(good[: len(good) // 3])
    result = keyframes_of(folder, tmp_path)
    assert failed(result) == {"complete"}
    assert "IMG 05.jpg" in result.verdict.warnings[0].message
    assert len(result.table()) == 9


@pytest.mark.parametrize(
    ("name", "gate"),
    [
        ("all_black_10s", "content"),
        ("textureless_gray_noise", "content"),
        ("static_single_photo_6s", "not_static"),
    ],
)
def test_real_captures_with_nothing_to_reconstruct(tmp_path: Path, name: str, gate: str) -> None:
    result = keyframes_of(real_capture(f"bad/{name}.mp4"), tmp_path)
    assert [g.name for g in result.verdict.blocking] == [gate]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "gates", "size"),
    [
        ("rotmeta90_alvaar", set(), (674, 364)),
        ("vfr_alvaar", set(), (364, 674)),
        ("truncated_60pct_faststart", {"complete"}, (364, 674)),
        ("two_unrelated_scenes_cut", {"one_scene"}, (362, 676)),
        ("very_blurry_alvaar", {"sharp"}, (364, 674)),
        ("rotation_only_synthetic", {"parallax"}, (960, 540)),
        ("hlg10bit_hevc_rot90_editlist_86f", {"parallax"}, (576, 1024)),
    ],
)
def test_real_captures_that_are_only_doubtful(
    tmp_path: Path, name: str, gates: set[str], size: tuple[int, int]
) -> None:
    result = keyframes_of(real_capture(f"bad/{name}.mp4"), tmp_path, KeyframeSettings())
    assert failed(result) == gates
    assert result.verdict.ok
    assert (result.metrics["width"], result.metrics["height"]) == size


def chosen_times(path: Path, tmp_path: Path, settings: KeyframeSettings) -> np.ndarray:
    return keyframes_of(path, tmp_path, settings).table()["timestamp_s"].to_numpy()


@pytest.mark.slow
def test_a_variable_rate_changes_hardly_what_is_chosen(tmp_path: Path) -> None:
    settings = KeyframeSettings(max_size=320)
    one = chosen_times(real_capture("videos/desk_handheld.mp4"), tmp_path / "constant", settings)
    other = chosen_times(real_capture("bad/vfr_alvaar.mp4"), tmp_path / "variable", settings)
    distance = np.abs(other[:, None] - one[None]).min(axis=1)
    assert np.median(distance) <= 0.1
    assert distance.max() <= np.ptp(one) / (len(one) - 1), "one selection window"


def test_the_same_file_gives_the_same_frames(tmp_path: Path) -> None:
    video = write_video(tmp_path / "walk.mp4", sliding_frames(45))
    first, second = (keyframes_of(video, tmp_path / name) for name in ("1", "2"))
    assert first.path("keyframes.csv").read_text() == second.path("keyframes.csv").read_text()
    assert first.path("candidates.csv").read_text() == second.path("candidates.csv").read_text()
