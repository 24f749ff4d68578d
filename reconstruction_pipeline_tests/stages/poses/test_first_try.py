"""What the frames say of themselves, and what the first rung makes of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from reconstruction_pipeline.stages.poses import PoseSettings
from reconstruction_pipeline.stages.poses.climb import first_try
from reconstruction_pipeline.stages.poses.features import sift
from reconstruction_pipeline.stages.poses.first_try import FEATURES, LEAST, LEAST_OVERLAP, OVERLAP, choose
from reconstruction_pipeline.stages.poses.frame_statistics import FrameStatistics, motion, summarise
from reconstruction_pipeline.stages.poses.rungs import ladder
from reconstruction_pipeline_tests.stages.captures import texture
from reconstruction_pipeline_tests.stages.poses.test_estimate_poses import write_keyframes

RICH = FrameStatistics(side=1024, detail=0.5, step=0.01, followed=0.99)


def gray(seed: int = 0) -> np.ndarray:
    return cv2.cvtColor(texture(400, seed), cv2.COLOR_RGB2GRAY)


def test_a_picture_that_could_be_half_as_large_has_little_detail() -> None:
    sharp = np.random.default_rng(0).integers(60, 200, (400, 400)).astype(np.uint8)
    enlarged = cv2.resize(cv2.resize(sharp, (200, 200), interpolation=cv2.INTER_AREA), (400, 400))
    assert summarise([[sharp]]).detail > 1.5 * summarise([[enlarged]]).detail
    assert summarise([[sharp]]).step is None, "one picture does not move"


def test_motion_between_two_pictures_is_measured() -> None:
    wide = cv2.cvtColor(texture(500), cv2.COLOR_RGB2GRAY)
    step, followed = motion(wide[:400, :400], wide[:400, 40:440])
    assert step == pytest.approx(0.1, abs=0.01) and followed > 0.7
    assert motion(wide[:400, :400], gray(5))[1] < 0.2, "two pictures of different things"
    assert motion(np.zeros((90, 160), np.uint8), np.zeros((90, 160), np.uint8)) == (1.0, 0.0)


def test_what_is_looked_at_follows_from_the_frames() -> None:
    settings = PoseSettings()
    rich = choose(RICH, settings, ordered=True)
    assert (rich.scale, rich.features, rich.overlap) == (1.0, LEAST, OVERLAP)
    hurried = choose(replace(RICH, followed=0.7), settings, ordered=True)
    assert hurried.features == FEATURES, "of what is seen now little will be in view"
    assert choose(replace(RICH, step=0.15), settings, ordered=True).overlap == LEAST_OVERLAP
    assert choose(replace(RICH, detail=0.2), settings, ordered=True).scale == 0.5
    assert choose(replace(RICH, detail=0.2, side=674), settings, ordered=True).scale == 1.0, "half would be too small"
    photos = choose(replace(RICH, step=None, followed=None), settings, ordered=False)
    assert photos.features == 2500 and len(photos.why) == 2
    assert all("neighbours" not in why for why in photos.why), "photos have none"


def test_settings_win_over_the_frames_and_later_rungs_look_at_more() -> None:
    soft = replace(RICH, detail=0.1)
    settings = PoseSettings(features=1234, overlap=7, feature_scale=0.8)
    first = choose(soft, settings, ordered=True)
    assert (first.features, first.overlap, first.scale) == (1234, 7, 0.8)
    assert sum("as set" in why for why in first.why) == 3
    assert choose(soft, PoseSettings(features=3000, photo_features=900), ordered=False).features == 900
    quick, more, *_ = ladder(PoseSettings(), True, choose(soft, PoseSettings(), True))
    assert quick.scale == 0.5 and more.extractor == "thorough" and more.features > quick.features
    assert more.overlap > quick.overlap


def test_keyframes_are_looked_at(tmp_path: Path) -> None:
    wide = texture(500)
    keyframes = write_keyframes(tmp_path / "video", [wide[:400, k : k + 400] for k in range(0, 100, 10)])
    chosen = first_try(keyframes, PoseSettings())
    assert chosen.scale == 1.0 and chosen.overlap == OVERLAP and LEAST <= chosen.features <= FEATURES
    assert any("2.5 % of the picture" in why for why in chosen.why)
    assert first_try(keyframes, PoseSettings(turntable=True)).features == FEATURES, "its background stands still"


def test_features_of_a_smaller_picture_lie_where_they_lie_in_the_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), gray())
    whole, half = (sift(path, 400, 0.0067, scale=scale)[0] for scale in (1.0, 0.5))
    nearest = np.linalg.norm(half[:, None, :2] - whole[None, :, :2], axis=2).min(axis=1)
    assert len(half) > 50 and np.median(nearest) < 0.5, "pixels of the whole picture, centres at half integers"
    offset = half[:, None, :2] - whole[None, :, :2]
    close = np.linalg.norm(offset, axis=2) < 1.0
    assert np.abs(offset[close].mean(axis=0)).max() < 0.12, "not shifted"
