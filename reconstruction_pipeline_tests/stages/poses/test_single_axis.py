"""The motion of a turntable is found among wrong matches and matches that stand still; what is none is told apart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from reconstruction_pipeline.artifacts.colmap import Camera, ColmapModel, PosedImage, quaternion_of
from reconstruction_pipeline.stages.poses.circle import MOST_OFF, axis_gravity, circle_of
from reconstruction_pipeline.stages.poses.single_axis import Matched, fit_single_axis, turned
from reconstruction_pipeline.stages.poses.still import still_features

COUNT, FOCAL = 24, 1.1
ELEVATION, ROLL, SHIFT = np.radians(24.0), np.radians(3.0), 0.05
AXIS = np.array([np.sin(ROLL) * np.cos(ELEVATION), np.cos(ROLL) * np.cos(ELEVATION), np.sin(ELEVATION)])
POINT = np.array([SHIFT, 0.0, 1.0])


def sequence(angles: np.ndarray, wrong: float, noise: float = 0.0005, seed: int = 0) -> Matched:
    """Matches of a round thing on a turntable, of all pairs up to five places apart; a share `wrong` is anything."""
    rng = np.random.default_rng(seed)
    around, height = rng.uniform(0, 2 * np.pi, 900), rng.uniform(-0.15, 0.15, 900)
    side = np.linalg.qr(np.column_stack([AXIS, [1, 0, 0], [0, 0, 1]]))[0][:, 1:]
    out = np.cos(around)[:, None] * side[:, 0] + np.sin(around)[:, None] * side[:, 1]
    xyz = POINT + 0.3 * out * rng.uniform(0.6, 1.0, (900, 1)) + height[:, None] * AXIS
    rotations = turned(AXIS, angles)
    views = np.einsum("nij,kj->nki", rotations, xyz - POINT) + POINT
    facing = np.einsum("nij,kj->nki", rotations, out)[..., 2] < -0.2
    xy = FOCAL * views[..., :2] / views[..., 2:] + rng.normal(0, noise, (*views.shape[:2], 2))
    pairs = [(i, j) for i in range(len(angles)) for j in range(i + 1, min(i + 6, len(angles)))]
    pair, first, second = [], [], []
    for row, (i, j) in enumerate(pairs):
        both = np.flatnonzero(facing[i] & facing[j])[:40]
        pair.append(np.full(len(both), row))
        first.append(xy[i, both])
        second.append(xy[j, both])
    matched = Matched(np.array(pairs), np.concatenate(pair), np.concatenate(first), np.concatenate(second))
    bad = rng.random(len(matched.pair)) < wrong
    matched.second[bad] = rng.uniform(-0.3, 0.3, (int(bad.sum()), 2))
    return matched


@pytest.mark.parametrize(("turn_deg", "focal"), [pytest.param(-345.0, None, marks=pytest.mark.soak), (120.0, FOCAL)])
def test_the_turn_is_found_among_wrong_matches(turn_deg: float, focal: float | None) -> None:
    rng = np.random.default_rng(1)
    steps = np.radians(turn_deg) / (COUNT - 1) * rng.uniform(0.8, 1.2, COUNT - 1)
    angles = np.append(0.0, np.cumsum(steps))
    motion = fit_single_axis(sequence(angles, wrong=0.4), np.linspace(0, 1, COUNT), focal)
    assert motion is not None
    assert 0.55 < motion.share < 0.68
    assert motion.focal == pytest.approx(FOCAL, rel=0.07)
    assert motion.elevation_deg == pytest.approx(24.0, abs=1.5)
    # Without a look back at the start, the turn is known as well as the focal length is: the adjustment tells more.
    assert np.abs(motion.angles - angles).max() < 0.05 * abs(angles[-1])
    assert np.degrees(np.abs(np.diff(motion.angles - angles))[1:]).max() < 1.0
    assert np.degrees(np.arccos(motion.axis @ AXIS)) < 1.5
    rotations, translations = motion.poses()
    assert rotations[0] == pytest.approx(np.eye(3)) and translations[0] == pytest.approx(np.zeros(3))


def test_what_does_not_turn_agrees_with_no_turn() -> None:
    angles = np.linspace(0, 2 * np.pi, COUNT)
    matched = sequence(angles, wrong=1.0)
    motion = fit_single_axis(matched, np.linspace(0, 1, COUNT))
    assert motion is None or motion.share < 0.2
    assert fit_single_axis(matched.some(np.arange(50)), np.linspace(0, 1, COUNT)) is None


def test_features_that_stand_still_are_told_from_those_that_turn() -> None:
    rng = np.random.default_rng(0)
    still, moving = rng.uniform(0, 500, (30, 2)), rng.uniform(0, 500, (40, 2))
    images = {k: np.vstack([still + rng.normal(0, 0.15, still.shape), moving + 9.0 * k]) for k in (1, 2, 3)}
    xy = {k: points.astype(np.float32) for k, points in images.items()}
    same = np.column_stack([np.arange(70), np.arange(70)]).astype(np.uint32)
    # One thing that turns is once mistaken for something in the place where it was.
    found = still_features(xy, {(1, 2): same, (1, 3): same, (2, 3): same[:60]}, 1.5)
    for k in (1, 2, 3):
        assert found[k][:30].all() and not found[k][30:].any()
    assert not still_features(xy, {}, 1.5)[1].any(), "what was never found again is not known to stand still"


def model_of(angles: np.ndarray, off: float = 0.0) -> ColmapModel:
    """Cameras of a turntable; `off`: how far each is from where it should be, in radii."""
    rng, images = np.random.default_rng(2), []
    for k, rotation in enumerate(turned(AXIS, angles)):
        none = np.zeros((0, 2)), np.zeros(0, np.int64)
        translation = 3.0 * (POINT - rotation @ POINT) + rng.normal(0, 3.0 * off, 3)
        images.append(PosedImage(f"{k:03d}.jpg", 1, quaternion_of(rotation), rotation, translation, *none))
    empty = np.zeros((0, 3))
    return ColmapModel(
        {1: Camera("PINHOLE", 640, 480, (500.0, 500.0, 320.0, 240.0))},
        tuple(images), empty, empty.astype(np.uint8), np.zeros(0), np.zeros(0, np.int64),
    )  # fmt: skip


@pytest.mark.parametrize("turn_deg", [360.0, 60.0])
def test_cameras_on_a_circle_are_told_from_others(turn_deg: float) -> None:
    angles = np.radians(np.linspace(0, turn_deg, 20))
    circle = circle_of(model_of(angles))
    assert circle is not None and circle.off < 1e-6
    assert circle.down == pytest.approx(AXIS, abs=1e-6)
    gravity = axis_gravity(model_of(angles))
    assert gravity is not None and gravity.up == pytest.approx(-AXIS, abs=1e-6)
    other = circle_of(model_of(angles, off=0.2))
    assert other is not None and other.off > MOST_OFF
    assert axis_gravity(model_of(angles, off=0.2)) is None
    straight = model_of(angles)
    moved = tuple(
        replace(image, translation=image.translation + np.array([0.1 * k, 0, 0]))
        for k, image in enumerate(straight.images)
    )
    walked = circle_of(replace(straight, images=moved))
    assert walked is not None and walked.off > MOST_OFF
    assert circle_of(replace(straight, images=straight.images[:2])) is None
