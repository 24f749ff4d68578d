"""The comparison of keyframes with every n-th frame is a fair one."""

from __future__ import annotations

import numpy as np

from benchmarks.keyframes import NEAR_TEST_S, TEST_FRAMES, contest, disagreement, without
from reconstruction_pipeline.stages.keyframes.analysis import Analysis, Samples
from reconstruction_pipeline.stages.keyframes.motion import Span


def film() -> Analysis:
    """Ten seconds that move, rest and move on, of uneven sharpness."""
    rng = np.random.default_rng(0)
    speed = np.r_[np.full(120, 0.006), np.zeros(60), np.full(120, 0.006)]
    frame = np.arange(0, 300, 2)
    every = np.ones(len(frame))
    samples = Samples(frame, every, every > 0, 120 * every, 0 * every, every < 0)
    spans = [Span(i, i + 20, 30.0, np.full(7, 6.0)) for i in range(0, 280, 20)]
    sharp = rng.uniform(0.6, 1.0, 300)
    return Analysis(np.arange(300) / 30, sharp, np.cumsum(speed), np.zeros(300, np.int64), samples, spans)


def test_neither_side_sees_the_test_frames() -> None:
    analysis = film()
    sides = contest(analysis, 24)
    assert len(sides.tests) == TEST_FRAMES and np.ptp(np.diff(sides.tests)) < 40, "all over the film"
    assert len(sides.ours) == len(sides.plain) == len(np.unique(sides.plain)), "as many frames"
    assert set(sides.trained) <= set(sides.ours)
    for side in (sides.ours, sides.plain):
        nearest = disagreement(analysis.times[sides.tests], analysis.times[side])
        assert nearest.min() > 0.9 * NEAR_TEST_S
    assert analysis.sharpness[sides.ours].mean() > analysis.sharpness[sides.plain].mean()


def test_what_is_hidden_is_gone_and_the_rest_keeps_its_numbers() -> None:
    analysis = film()
    hidden = np.zeros(300, bool)
    hidden[40:50] = hidden[0] = True
    rest, frame = without(analysis, hidden)
    assert len(rest.times) == len(frame) == 289
    assert np.array_equal(rest.times, analysis.times[frame])
    assert np.array_equal(rest.progress, analysis.progress[frame])
    assert np.array_equal(frame[rest.samples.frame], analysis.samples.frame[~hidden[analysis.samples.frame]])
    assert all(0 <= span.first <= span.last < 289 for span in rest.spans)
