"""What changes parameters, on torch tensors: Adam, Langevin noise and the regularisers of 3DGS-MCMC.

Planes, gradients and moments are (59, capacity) float32; only the first `count` columns are touched.
"""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.optim.adam import adam

from reconstruction_pipeline.kernels import layout

GATE_STEEPNESS, GATE_OPACITY, NEGLIGIBLE_LOGIT = 100.0, 0.005, -1.75
"""As in `kernels.langevin`."""
EPSILON = 1e-15


class Adam:
    """Adam with a learning rate a row, by torch's fused kernels: no temporaries, one pass over memory.

    Rows are contiguous where columns are not, and rows of equal rate share a launch. The views are kept
    until the count or an array changes.
    """

    def __init__(self) -> None:
        self._key: tuple[int, ...] = ()
        self._rows: list[tuple[Tensor, ...]] = []
        self._steps: Tensor | None = None

    def step(
        self, planes: Tensor, grads: Tensor, m: Tensor, v: Tensor, count: int,
        rates: npt.NDArray[np.float32], step: int, beta1: float, beta2: float,
    ) -> None:  # fmt: skip
        """One step in place; `rates` (59,), `step` counting from one."""
        if count == 0:
            return
        arrays = (planes, grads, m, v)
        key = (count, *(array.data_ptr() for array in arrays))
        if key != self._key:
            self._rows = [tuple(array[:, :count].unbind(0)) for array in arrays]
            self._key = key
        if self._steps is None or self._steps.device != planes.device:
            self._steps = torch.empty(layout.ROWS, dtype=torch.float32, device=planes.device)
        self._steps.fill_(step - 1)  # adam counts it up before it uses it
        counters = self._steps.unbind(0)
        start = 0
        with torch.no_grad():
            for rate, same in itertools.groupby(np.asarray(rates, np.float32).tolist()):
                end = start + len(list(same))
                p, g, first, second = (list(rows[start:end]) for rows in self._rows)
                adam(
                    p, g, first, second, [], list(counters[start:end]), fused=True, amsgrad=False,
                    beta1=beta1, beta2=beta2, lr=rate, weight_decay=0.0, eps=EPSILON, maximize=False,
                )  # fmt: skip
                start = end

    def forget(self) -> None:
        """Let go of the arrays."""
        self._key, self._rows = (), []


def displacement(planes: Tensor, count: int, amount: float, normals: Tensor) -> Tensor:
    """(3, count) amount * sigmoid(-100 (opacity - 0.005)) * Sigma @ normals (3, count); see `kernels.langevin`."""
    logit = planes[layout.OPACITY, :count]
    gate = amount * torch.sigmoid(GATE_STEEPNESS * (GATE_OPACITY - torch.sigmoid(logit)))
    gate = torch.where(logit > NEGLIGIBLE_LOGIT, torch.zeros_like(gate), gate)
    quats = planes[layout.QUAT : layout.QUAT + 4, :count]
    w, axis = (quats * torch.rsqrt((quats * quats).sum(dim=0) + 1e-20)).split((1, 3))
    variances = (2.0 * planes[layout.LOG_SCALE : layout.LOG_SCALE + 3, :count]).exp()
    return gate * _turned(variances * _turned(normals, w, -axis), w, axis)


def _turned(vectors: Tensor, w: Tensor, axis: Tensor) -> Tensor:
    """Vectors (3, N) turned by unit quaternions w (1, N), axis (3, N)."""
    twice = 2.0 * torch.linalg.cross(axis, vectors, dim=0)
    return vectors + w * twice + torch.linalg.cross(axis, twice, dim=0)


def add_noise(planes: Tensor, count: int, amount: float, seed: int, step: int) -> None:
    """Add Langevin noise to the means in place; the same numbers for the same seed, step, count and kind of device."""
    generator = torch.Generator(device=planes.device)
    generator.manual_seed((seed * 0x9E3779B97F4A7C15 + step * 0xD1B54A32D192ED03) % 2**63)
    normals = torch.randn((3, count), generator=generator, device=planes.device)
    planes[layout.MEAN : layout.MEAN + 3, :count].add_(displacement(planes, count, amount, normals))


def regularise(planes: Tensor, grads: Tensor, count: int, opacity_reg: float, scale_reg: float) -> None:
    """Add the gradients of opacity_reg * mean(opacity) + scale_reg * mean(sigma) to `grads` in place."""
    n = max(count, 1)
    opacity = torch.sigmoid(planes[layout.OPACITY, :count])
    grads[layout.OPACITY, :count].add_(opacity * (1.0 - opacity), alpha=opacity_reg / n)
    log_scales = planes[layout.LOG_SCALE : layout.LOG_SCALE + 3, :count]
    grads[layout.LOG_SCALE : layout.LOG_SCALE + 3, :count].add_(
        log_scales.clamp(max=20.0).exp(), alpha=scale_reg / (3 * n)
    )


def add_colour_gradient(grads: Tensor, count: int, score: Tensor) -> None:
    """Add to `score` (capacity,) the absolute gradients by the base colour, summed over channels; in place."""
    score[:count].add_(grads[layout.SH : layout.SH + 3, :count].abs().sum(dim=0))
