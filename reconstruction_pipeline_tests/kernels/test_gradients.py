"""Gradients of every parameter group against float64 autograd, at the edges of what a rasteriser meets."""

from __future__ import annotations

import numpy as np
import pytest

from reconstruction_pipeline.kernels.layout import OPACITY, QUAT
from reconstruction_pipeline_tests.kernels.gradient_cases import CASES, errors_of

LIMIT = 1e-4
ORDINARY_LIMIT = 5e-6  # far under the limit where nothing is extreme, so that a slow loss of precision is seen


@pytest.mark.parametrize("name", CASES)
def test_gradients_equal_autograd(name: str) -> None:
    errors = errors_of(CASES[name]())
    limit = ORDINARY_LIMIT if name == "ordinary" else LIMIT
    assert errors.image < LIMIT and errors.alpha < LIMIT
    assert max(errors.gradients.values()) < limit, errors.gradients


def test_the_cases_reach_what_they_are_named_after() -> None:
    """Some of the near, behind and faint Gaussians get gradients, and some do not."""
    for name in ("behind_the_camera", "near_plane", "opacity_limits"):
        seen = errors_of(CASES[name]()).grads.any(axis=0)
        assert 0.2 < seen.mean() < 0.8, name
    case = CASES["zero_quaternions"]()
    grads = errors_of(case).grads
    none = np.linalg.norm(case.tables[2], axis=1) == 0
    assert not grads[QUAT : QUAT + 4, none].any() and grads[OPACITY, none].any()
