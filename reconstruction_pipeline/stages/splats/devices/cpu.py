"""Training on the CPU: our numba kernels behind the `Device` interface."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.kernels import layout
from reconstruction_pipeline.kernels.adam import adam_step
from reconstruction_pipeline.kernels.colour import fitted_gain, scale_channels
from reconstruction_pipeline.kernels.langevin import add_colour_gradient, add_noise, regularise
from reconstruction_pipeline.kernels.loss import LossValue, l1_ssim
from reconstruction_pipeline.kernels.rasterizer import Rasterizer
from reconstruction_pipeline.stages.splats import mcmc, schedule
from reconstruction_pipeline.stages.splats.devices import base, memory
from reconstruction_pipeline.stages.splats.losses import depth_loss

Array = npt.NDArray[Any]


class CpuDevice:
    """See `base.Device`; `threads` None means all cores."""

    name = "cpu"
    backend = "numba"
    sorts_in_space = True
    out_of_memory: tuple[type[BaseException], ...] = (MemoryError,)

    def __init__(self, threads: int | None = None) -> None:
        self.rasterizer: base.Rasterizer = Rasterizer(threads)
        self._threads = threads

    def put(self, array: Array) -> Array:
        """The array itself."""
        return array

    def get(self, array: Array) -> Array:
        """The array itself."""
        return array

    def opacities(self, planes: Array, count: int) -> npt.NDArray[np.float64]:
        """(count,)."""
        return mcmc.opacities(planes[layout.OPACITY, :count])

    def all_finite(self, array: Array) -> bool:
        """Whether no number is NaN or infinite."""
        return bool(np.isfinite(array).all())

    def l1_ssim(
        self, image: Array, target: Array, lambda_ssim: float, weight: Array | None = None
    ) -> tuple[LossValue, Array]:
        """Loss and gradient."""
        return l1_ssim(image, target, lambda_ssim, weight, threads=self._threads)

    def composite(self, image: Array, alpha: Array, background: Sequence[float]) -> Array:
        """Image over a colour."""
        clear = np.float32(1.0) - alpha.astype(np.float32) / np.float32(255.0)
        return image.astype(np.float32) / np.float32(255.0) + clear[:, :, None] * np.asarray(background, np.float32)

    def depth_loss(self, expected: Array, depth: Array, weight: float) -> tuple[float, Array]:
        """Loss and gradient."""
        return depth_loss(expected, depth, weight)

    def adam_step(
        self, planes: Array, grads: Array, m: Array, v: Array, count: int,
        rates: npt.NDArray[np.float32], step: int, beta1: float, beta2: float,
    ) -> None:  # fmt: skip
        """One step of Adam in place."""
        adam_step(planes, grads, m, v, count, rates, step, beta1, beta2)

    def add_noise(self, planes: Array, count: int, amount: float, seed: int, step: int) -> None:
        """Langevin noise in place."""
        add_noise(planes, count, amount, seed, step)

    def regularise(self, planes: Array, grads: Array, count: int, opacity_reg: float, scale_reg: float) -> None:
        """Add to the gradients in place."""
        regularise(planes, grads, count, opacity_reg, scale_reg)

    def add_colour_gradient(self, grads: Array, count: int, score: Array) -> None:
        """Add to the score in place."""
        add_colour_gradient(grads, count, score)

    def fitted_gain(self, image: Array, target: Array) -> npt.NDArray[np.float64]:
        """(3,)."""
        return fitted_gain(image, target)

    def scale_channels(self, image: Array, gain: npt.NDArray[np.float32]) -> Array:
        """A new array."""
        return scale_channels(image, gain)

    def step_cost_ms(self, count: float, pixels: float) -> float:
        """See `schedule.step_cost_ms`."""
        return schedule.step_cost_ms(count, pixels)

    def memory_estimate(self, cap: int, pixels: int, views: int, bytes_per_pixel: float = 3.0) -> int:
        """See `memory.cpu_bytes`."""
        return memory.cpu_bytes(cap, pixels, views, bytes_per_pixel)

    def memory_available(self) -> int | None:
        """What the kernel says new programs can have without swapping."""
        return memory.host_available()

    def release(self) -> None:
        """A new rasteriser, without buffers."""
        self.rasterizer = Rasterizer(self._threads)
