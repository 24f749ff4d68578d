"""The parts of keyframe selection that are pure functions of numbers and images."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from reconstruction_pipeline.stages.keyframes.analysis import Analysis
from reconstruction_pipeline.stages.keyframes.color import HLG, PQ, tone_map
from reconstruction_pipeline.stages.keyframes.motion import MotionTracker
from reconstruction_pipeline.stages.keyframes.selection import select
from reconstruction_pipeline.stages.keyframes.settings import KeyframeSettings
from reconstruction_pipeline.stages.keyframes.sharpness import blur_extent, sharpness
from reconstruction_pipeline_tests.stages.captures import texture


def gray_texture(seed: int = 0) -> np.ndarray:
    return cv2.cvtColor(texture(400, seed), cv2.COLOR_RGB2GRAY)


def test_sharpness_ignores_exposure_and_sees_blur() -> None:
    gray = gray_texture()
    darker = (gray * 0.7 + 20).astype(np.uint8)
    assert sharpness(darker) == pytest.approx(sharpness(gray), rel=0.15)
    assert sharpness(cv2.GaussianBlur(gray, (0, 0), 2.0)) < 0.5 * sharpness(gray)
    assert sharpness(np.full((100, 100), 90, np.uint8)) == 0.0


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


def analysis_of(progress: np.ndarray, sharp: np.ndarray, scene: np.ndarray | None = None) -> Analysis:
    count = len(progress)
    scene = np.zeros(count, np.int64) if scene is None else scene
    return Analysis(np.arange(count) / 30, sharp, progress, scene, 0.2, 1.0, 1.0, 0.0, 0)


def test_windows_follow_motion_and_take_the_sharpest() -> None:
    rng = np.random.default_rng(0)
    # Moves, rests for a hundred frames, moves on.
    speed = np.r_[np.full(100, 0.01), np.zeros(100), np.full(100, 0.01)]
    sharp = rng.uniform(0.5, 1.0, 300)
    result = select(analysis_of(np.cumsum(speed), sharp), KeyframeSettings(count=20))
    assert len(result.chosen) <= 20
    assert np.all(np.diff(result.chosen) > 0)
    resting = (result.chosen > 100) & (result.chosen < 199)
    assert resting.sum() <= 1, "a camera at rest shows nothing new"
    assert sharp[result.chosen].mean() > sharp.mean() + 0.1
    assert [r for i, r in enumerate(result.reasons) if i in result.chosen] == ["chosen"] * len(result.chosen)


def test_only_the_largest_scene_is_used() -> None:
    scene = np.r_[np.zeros(50, np.int64), np.ones(90, np.int64)]
    progress = np.r_[np.linspace(0, 1, 50), np.linspace(0, 1, 90)]
    result = select(analysis_of(progress, np.ones(140), scene), KeyframeSettings(count=10))
    assert result.scene == 1
    assert result.chosen.min() >= 50
    assert set(result.reasons[:50]) == {"another scene"}


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
