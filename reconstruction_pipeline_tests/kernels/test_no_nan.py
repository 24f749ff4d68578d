"""A search for numbers that break the kernels: whatever finite is put in, nothing but finite may come out."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from reconstruction_pipeline.kernels.adam import adam_step
from reconstruction_pipeline.kernels.camera import PinholeView
from reconstruction_pipeline.kernels.layout import LOG_SCALE, MEAN, OPACITY, QUAT, ROWS, SH, empty_planes
from reconstruction_pipeline.kernels.loss import l1_ssim
from reconstruction_pipeline.kernels.rasterizer import Rasterizer

COUNT = 12


def mixed(low: float, high: float, *special: float) -> st.SearchStrategy[float]:
    """Ordinary numbers, and the special ones with both signs."""
    return st.one_of(
        st.floats(low, high, width=32), st.sampled_from([np.float32(sign * x) for x in special for sign in (1, -1)])
    )


def rows(count: int, elements: st.SearchStrategy[float]) -> st.SearchStrategy[Any]:
    return arrays(np.float32, (count, COUNT), elements=elements, fill=st.nothing())


planes = st.fixed_dictionaries(
    {
        MEAN: rows(3, mixed(-2, 2, 0.0, 1e-30, 0.01, 1e4, 1e8, 1e19, 1e30)),
        LOG_SCALE: rows(3, mixed(-8, 1, 0.0, 8.0, 30.0, 42.0, 88.0, 1e4)),
        QUAT: rows(4, mixed(-1, 1, 0.0, 1e-38, 1e-20, 1e-12, 1e10, 1e20)),
        OPACITY: rows(1, mixed(-6, 6, 0.0, 5.5373, 30.0, 88.0, 1e30)),
        SH: rows(3, mixed(-1, 1, 0.0, 1.7724539, 1e-30, 1e4)),
    }
)
views = st.builds(
    lambda width, height, focal, shift, z: PinholeView(
        np.eye(3), np.array([0.0, 0.0, z]), focal, 1.1 * focal, width / 2 + shift, height / 2, width, height
    ),
    st.integers(1, 40),
    st.integers(1, 40),
    st.sampled_from([0.1, 20.0, 500.0, 1e5]),
    st.sampled_from([0.0, 1e3]),
    st.sampled_from([0.0, 1.0, 3.0, 1e6]),
)


@settings(
    max_examples=150, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)  # the same examples every time
@given(
    parts=planes,
    view=views,
    near=st.sampled_from([1e-6, 0.01, 1.0]),
    background=st.sampled_from([0.0, 0.5, 1.0]),
    rate=st.sampled_from([1e-4, 0.1, 10.0]),
    step=st.sampled_from([1, 100_000]),
    seed=st.integers(0, 3),
)
def test_whatever_is_finite_stays_finite(
    parts: dict[int, Any], view: PinholeView, near: float, background: float, rate: float, step: int, seed: int
) -> None:
    rng, scene, rasterizer = np.random.default_rng(seed), empty_planes(COUNT), Rasterizer(1)
    scene[SH:, :COUNT] = rng.normal(size=(ROWS - SH, COUNT)) * 0.2
    for row, values in parts.items():
        scene[row : row + len(values), :COUNT] = values
    grads, m, v = np.empty_like(scene), np.zeros_like(scene), np.zeros_like(scene)
    shape = (view.height, view.width)
    target = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
    by_depth, by_alpha = rng.normal(size=(2, *shape)).astype(np.float32)
    for k in range(2):
        rendered = rasterizer.forward(
            scene, COUNT, view, near=near, background=(background,) * 3, depth=True, contribution=True
        )
        for name, values in vars(rendered).items():
            assert np.isfinite(values).all(), name
        assert rendered.alpha.min() >= 0 and rendered.alpha.max() <= 1
        value, gradient = l1_ssim(rendered.image, target)
        assert np.isfinite(value.total) and np.isfinite(gradient).all()
        rasterizer.backward(gradient, grads, grad_expected_depth=by_depth, grad_alpha=by_alpha)
        assert np.isfinite(grads[:, :COUNT]).all(), np.argwhere(~np.isfinite(grads[:, :COUNT]))
        adam_step(scene, grads, m, v, COUNT, np.full(ROWS, rate), step + k)
        for name, values in (("planes", scene), ("m", m), ("v", v)):
            assert np.isfinite(values[:, :COUNT]).all(), name
