"""Compile the stage's kernels ahead of time, so that the first video does not wait for it."""

from __future__ import annotations

import numpy as np


def compile_all() -> None:
    """Match and compare tiny pictures once, which fills numba's cache on disk; about 5 s of one core at first."""
    from reconstruction_pipeline.kernels.camera import PinholeView
    from reconstruction_pipeline.kernels.depth_agreement import agreement
    from reconstruction_pipeline.stages.depth.stereo import match

    here, beside = (
        PinholeView(np.eye(3), np.array([x, 0.0, 0.0]), 40.0, 40.0, 24.0, 16.0, 48, 32) for x in (0.0, -0.1)
    )
    grey = np.random.default_rng(0).random((32, 48), np.float32)
    stereo = match(here, grey, [(beside, grey)], 1.0, 4.0, 16, 16)
    agreement(stereo.depth, here, [(stereo.depth, beside)], 0.02)
