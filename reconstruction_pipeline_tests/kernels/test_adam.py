"""Adam on planes against torch's."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from reconstruction_pipeline.kernels.adam import adam_step
from reconstruction_pipeline.kernels.layout import ROWS


def test_five_steps_equal_torch() -> None:
    rng = np.random.default_rng(0)
    planes = rng.normal(size=(ROWS, 112)).astype(np.float32)
    rates = np.linspace(1e-4, 0.1, ROWS)
    rows = [torch.tensor(row.astype(np.float64), requires_grad=True) for row in planes]
    optimiser = torch.optim.Adam(
        [{"params": [row], "lr": rate} for row, rate in zip(rows, rates, strict=True)], betas=(0.8, 0.99), eps=1e-15
    )
    m, v = np.zeros_like(planes), np.zeros_like(planes)
    for step in range(1, 6):
        grads = rng.normal(size=planes.shape).astype(np.float32)
        for row, grad in zip(rows, grads, strict=True):
            row.grad = torch.tensor(grad.astype(np.float64))
        optimiser.step()
        adam_step(planes, grads, m, v, 100, rates, step, 0.8, 0.99)
    expected = torch.stack(rows).detach().numpy()
    np.testing.assert_allclose(planes[:, :100], expected[:, :100], atol=3e-6)


def test_columns_beyond_the_last_group_are_left_alone() -> None:
    planes = np.ones((ROWS, 64), np.float32)
    grads, m, v = np.ones_like(planes), np.zeros_like(planes), np.zeros_like(planes)
    adam_step(planes, grads, m, v, 17, np.full(ROWS, 0.1), 1)
    assert (planes[:, :17] < 1).all() and (planes[:, 32:] == 1).all()


def test_a_parameter_without_gradient_stays() -> None:
    planes = np.ones((ROWS, 16), np.float32)
    zeros = [np.zeros_like(planes) for _ in range(3)]
    adam_step(planes, *zeros, 16, np.full(ROWS, 0.1), 1)
    assert (planes == 1).all()


def test_wrong_shapes_are_refused() -> None:
    planes = np.ones((ROWS, 16), np.float32)
    with pytest.raises(ValueError, match="grads"):
        adam_step(planes, planes[:, :8], planes, planes, 8, np.ones(ROWS), 1)
