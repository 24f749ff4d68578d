"""Turning and moving told apart from tracked points."""

from __future__ import annotations

import cv2
import numpy as np

from reconstruction_pipeline.kernels.parallax import parallax_ratio, rotation_residuals


def points_seen(rotation: np.ndarray, shift: np.ndarray, focal: float) -> np.ndarray:
    points = np.random.default_rng(0).uniform([-2, -1.5, 3], [2, 1.5, 6], (150, 3))
    camera = points @ rotation.T + shift
    return camera[:, :2] / camera[:, 2:] * focal + [160, 120]


def test_turning_leaves_no_residual_and_moving_does() -> None:
    turn = cv2.Rodrigues(np.array([0.02, 0.12, 0.01]))[0]
    start = points_seen(np.eye(3), np.zeros(3), 300.0)
    turned = points_seen(turn, np.zeros(3), 300.0)
    moved = points_seen(turn, np.array([0.4, 0.0, 0.0]), 300.0)
    for after, parallax in ((turned, False), (moved, True)):
        shift = float(np.median(np.linalg.norm(after - start, axis=1)))
        ratio = parallax_ratio([rotation_residuals(start, after, 320, 240)], [shift])
        assert ratio is not None
        assert (ratio > 0.02) == parallax


def test_a_plane_does_not_pass_for_a_rotation() -> None:
    points = np.random.default_rng(1).uniform([-2, -1.5, 4], [2, 1.5, 4], (150, 3))
    before = points[:, :2] / points[:, 2:] * 300 + [160, 120]
    tilted = points @ cv2.Rodrigues(np.array([0, -0.3, 0]))[0].T + [1.6, 0, 0.2]
    after = tilted[:, :2] / tilted[:, 2:] * 300 + [160, 120]
    shift = float(np.median(np.linalg.norm(after - before, axis=1)))
    ratio = parallax_ratio([rotation_residuals(before, after, 320, 240)], [shift])
    assert ratio is not None and ratio > 0.05
