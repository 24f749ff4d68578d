"""The parts of keyframe selection that are pure functions of numbers and images."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from reconstruction_pipeline.stages.keyframes.analysis import Analysis, Samples
from reconstruction_pipeline.stages.keyframes.color import HLG, PQ, tone_map
from reconstruction_pipeline.stages.keyframes.motion import MotionTracker, Span
from reconstruction_pipeline.stages.keyframes.selection import select
from reconstruction_pipeline.stages.keyframes.settings import KeyframeSettings
from reconstruction_pipeline.stages.keyframes.sharpness import blur_extent, relative_sharpness, sharpness
from reconstruction_pipeline.stages.keyframes.stretches import find_stretches, listed
from reconstruction_pipeline_tests.stages.captures import texture


def gray_texture(seed: int = 0) -> np.ndarray:
    return cv2.cvtColor(texture(400, seed), cv2.COLOR_RGB2GRAY)


def test_sharpness_ignores_exposure_and_sees_blur() -> None:
    gray = gray_texture()
    darker = (gray * 0.7 + 20).astype(np.uint8)
    assert sharpness(darker) == pytest.approx(sharpness(gray), rel=0.15)
    assert sharpness(cv2.GaussianBlur(gray, (0, 0), 2.0)) < 0.5 * sharpness(gray)
    assert sharpness(np.full((100, 100), 90, np.uint8)) == 0.0


def test_sharpness_ignores_texture_and_sees_blur_along_one_axis() -> None:
    """Twice as much of everything is as sharp, where the variance of the Laplacian would say far sharper."""
    gray = gray_texture()
    sparse = gray.copy()
    sparse[100:] = 128
    assert sharpness(sparse) == pytest.approx(sharpness(gray), rel=0.15)
    assert sharpness(cv2.blur(gray, (9, 1))) < 0.5 * sharpness(gray)
    assert sharpness(cv2.blur(gray, (1, 9))) < 0.5 * sharpness(gray)


def test_sharpness_is_relative_to_the_frames_around() -> None:
    times = np.arange(600) / 30
    values = np.where(times < 10, 1.0, 0.5)  # two places, one of softer things
    values[100] = 0.4
    values[330:450] = 0.1  # four seconds of blur: longer than the window
    relative = relative_sharpness(times, values)
    assert relative[100] == pytest.approx(0.4)
    assert np.median(relative[480:]) == pytest.approx(0.67, abs=0.35)
    assert relative[360:420].max() < 0.3, "blur from end to end is no yardstick"


def test_blur_extent_orders_blurs_and_sees_motion_blur() -> None:
    gray = gray_texture()
    extents = [blur_extent(gray if s == 0 else cv2.GaussianBlur(gray, (0, 0), s)) for s in (0, 1, 2, 4)]
    assert extents == sorted(extents)
    assert extents[-1] > extents[0] + 0.2
    assert blur_extent(cv2.blur(gray, (15, 1))) > blur_extent(gray) + 0.1


def test_motion_is_measured_in_pixels() -> None:
    wall = gray_texture()
    tracker = MotionTracker()
    steps = [tracker.update(np.ascontiguousarray(wall[50:250, 3 * i : 3 * i + 280])) for i in range(15)]
    assert sum(step.step_px for step in steps) == pytest.approx(3 * 14, rel=0.1)
    assert not any(step.cut for step in steps)


def test_jitter_does_not_add_up_to_motion() -> None:
    rng = np.random.default_rng(0)
    wall = gray_texture().astype(np.float32)
    tracker = MotionTracker()
    total = 0.0
    for _ in range(40):
        noisy = np.clip(wall[50:250, 50:330] + rng.normal(0, 3, (200, 280)), 0, 255).astype(np.uint8)
        total += tracker.update(noisy).step_px
    assert total == 0.0


def test_a_cut_is_a_cut_and_a_jump_is_not() -> None:
    first, second = gray_texture(0), gray_texture(9)
    tracker = MotionTracker()
    tracker.update(np.ascontiguousarray(first[:200, :280]))
    jump = tracker.update(np.ascontiguousarray(first[60:260, 90:370]))
    assert not jump.cut
    assert jump.step_px == pytest.approx(np.hypot(60, 90), rel=0.1)
    assert tracker.update(np.ascontiguousarray(second[:200, :280])).cut


def test_a_covered_lens_is_no_cut_but_what_follows_may_be() -> None:
    first, second = gray_texture(0), gray_texture(9)
    black = np.zeros((200, 280), np.uint8)
    tracker = MotionTracker()
    for frame in (first[:200, :280], black, black):
        assert not tracker.update(np.ascontiguousarray(frame)).cut
    back = tracker.update(np.ascontiguousarray(first[10:210, :280]))
    assert not back.cut
    assert back.step_px == pytest.approx(10, abs=1)
    tracker.update(black)
    assert tracker.update(np.ascontiguousarray(second[:200, :280])).cut


def analysis_of(progress: np.ndarray, sharp: np.ndarray, scene: np.ndarray | None = None) -> Analysis:
    count = len(progress)
    scene = np.zeros(count, np.int64) if scene is None else scene
    frame = np.arange(0, count, 2)
    every = np.ones(len(frame))
    samples = Samples(frame, every, every > 0, 120 * every, 0 * every, every < 0)
    return Analysis(np.arange(count) / 30, sharp, progress, scene, samples)


def test_steps_follow_motion_and_take_the_sharpest() -> None:
    rng = np.random.default_rng(0)
    # Moves, rests for a hundred frames, moves on.
    speed = np.r_[np.full(100, 0.01), np.zeros(100), np.full(100, 0.01)]
    sharp = rng.uniform(0.7, 1.0, 300)
    result = select(analysis_of(np.cumsum(speed), sharp), KeyframeSettings(count=20))
    assert 17 <= len(result.chosen) <= 20
    assert np.all(np.diff(result.chosen) > 0)
    resting = (result.chosen > 100) & (result.chosen < 199)
    assert resting.sum() <= 1, "a camera at rest shows nothing new"
    assert sharp[result.chosen].mean() > sharp.mean() + 0.08
    assert result.train.all()
    gaps = np.diff(result.viewpoint[result.chosen])
    assert gaps.max() < 2 * np.median(gaps)
    assert [r for i, r in enumerate(result.reasons) if i in result.chosen] == ["chosen"] * len(result.chosen)


def test_soft_frames_are_taken_for_reach_alone_and_not_trained_on() -> None:
    sharp = np.ones(400)
    sharp[50:60] = 0.2  # three hundredths of the diagonal: bridged without help
    sharp[200:320] = 0.2  # six tenths: nothing matches across
    settings = KeyframeSettings(count=64)
    result = select(analysis_of(np.arange(400) * 0.005, sharp), settings)
    soft = result.chosen[~result.train]
    assert len(soft) >= 3
    assert (soft >= 200).all() and (soft < 320).all()
    assert result.largest_gap <= settings.link_fraction + 0.01
    assert result.train.sum() > 40, "the sharp parts get the frames that the soft one does not"
    assert {result.reasons[i] for i in soft} == {"chosen for the poses only: soft, but it links the path"}


def test_what_lies_beyond_a_soft_stretch_is_not_cut_off() -> None:
    sharp = np.ones(300)
    sharp[220:270] = 0.3  # a quarter of the diagonal, and only three windows behind it
    sharp[:10] = 0.3  # a soft beginning leads nowhere
    result = select(analysis_of(np.arange(300) * 0.005, sharp), KeyframeSettings(count=30))
    assert result.chosen[-1] >= 290
    assert 10 <= result.chosen[0] < 20
    assert 1 <= (~result.train).sum() <= 4


def test_a_soft_capture_is_trained_on_what_there_is() -> None:
    rng = np.random.default_rng(1)
    sharp = np.where(rng.random(300) < 0.03, 1.0, 0.2)
    sharp[:9] = 1.0
    result = select(analysis_of(np.arange(300) * 0.01, sharp), KeyframeSettings(count=24))
    assert result.train.sum() >= 2 / 3 * len(result.chosen)


def test_a_long_path_gets_more_frames_than_the_preset_wants() -> None:
    settings = KeyframeSettings(count=40)
    short = select(analysis_of(np.arange(900) * 0.004, np.ones(900)), settings)
    long = select(analysis_of(np.arange(900) * 0.008, np.ones(900)), settings)
    endless = select(analysis_of(np.arange(900) * 0.04, np.ones(900)), settings)
    assert 38 <= len(short.chosen) <= 40
    assert 56 <= len(long.chosen) <= 60, "at 40 they would lie out of each other's reach"
    assert 56 <= len(endless.chosen) <= 60, "half as many again at most"
    few = select(analysis_of(np.arange(900) * 0.0001, np.ones(900)), settings)
    assert len(few.chosen) < 20, "there is no more to show"


def test_turning_gets_fewer_frames_than_walking() -> None:
    walk = np.full(7, 6.0)
    spans = [Span(i, i + 10, 30.0, walk if i < 150 else walk / 100) for i in range(0, 290, 10)]
    analysis = analysis_of(np.arange(300) * 0.01, np.ones(300))
    analysis.spans = spans
    chosen = select(analysis, KeyframeSettings(count=40)).chosen
    assert (chosen < 150).sum() > 1.4 * (chosen >= 150).sum()
    stretches = find_stretches(analysis, select(analysis, KeyframeSettings()), KeyframeSettings())
    assert listed(stretches, "turning") == "5.0-9.7 s"


def test_the_same_numbers_give_the_same_frames() -> None:
    rng = np.random.default_rng(3)
    progress, sharp = np.cumsum(rng.random(500)) * 0.01, rng.random(500)
    first, second = (select(analysis_of(progress, sharp.copy()), KeyframeSettings()) for _ in range(2))
    assert (first.chosen == second.chosen).all()
    assert first.reasons == second.reasons


def test_only_the_largest_scene_is_used() -> None:
    scene = np.r_[np.zeros(50, np.int64), np.ones(90, np.int64)]
    progress = np.r_[np.linspace(0, 1, 50), np.linspace(0, 1, 90)]
    result = select(analysis_of(progress, np.ones(140), scene), KeyframeSettings(count=10))
    assert result.scene == 1
    assert result.chosen.min() >= 50
    assert set(result.reasons[:50]) == {"another scene"}


def test_weak_stretches_are_found_with_their_times() -> None:
    speed = np.full(600, 0.002)
    speed[60:90] = 0.03
    speed[300:390] = 0.0
    sharp = np.ones(600)
    sharp[120:150] = 0.3
    analysis = analysis_of(np.cumsum(speed), sharp)
    analysis.samples.mean[210:240] = 5.0
    analysis.samples.burnt[250:270] = 0.6
    analysis.samples.textured[280:295] = False
    settings = KeyframeSettings()
    found = find_stretches(analysis, select(analysis, settings), settings)
    assert [s.kind for s in found] == ["fast", "blurred", "static", "dark", "burnt out", "textureless"]
    for stretch, (first, last) in zip(
        found, [(2, 3), (4, 5), (10, 13), (14, 16), (16.7, 18), (18.7, 19.7)], strict=True
    ):
        assert stretch.first_s == pytest.approx(first, abs=0.25)
        assert stretch.last_s == pytest.approx(last, abs=0.25)


@pytest.mark.parametrize("transfer", [HLG, PQ])
def test_tone_mapping_keeps_order_and_neutrals(transfer: int) -> None:
    ramp = np.linspace(0, 65535, 256).astype(np.uint16)
    mapped = tone_map(np.repeat(ramp[None, :, None], 3, axis=2), transfer)[0].astype(int)
    assert np.all(np.diff(mapped[:, 1]) >= 0)
    assert mapped[0].max() <= 1
    assert mapped[-1].min() >= 250
    assert np.abs(mapped - mapped[:, :1]).max() <= 1, "a grey stays grey"


def test_tone_mapping_turns_wide_red_into_red() -> None:
    red = np.array([[[40000, 3000, 3000]]], np.uint16)
    r, g, b = tone_map(red, HLG)[0, 0]
    assert r > 100 and r > 3 * max(int(g), int(b))
