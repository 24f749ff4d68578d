"""Training on CUDA: gsplat's rasteriser and torch behind the `Device` interface."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from reconstruction_pipeline.kernels import layout
from reconstruction_pipeline.kernels.loss import LossValue
from reconstruction_pipeline.stages.splats import schedule
from reconstruction_pipeline.stages.splats.devices import base, memory, torch_loss, torch_update
from reconstruction_pipeline.stages.splats.devices.gsplat_rasterizer import GsplatRasterizer, Rasterization


class CudaDevice:
    """See `base.Device`. With another `rasterization` than gsplat's it runs on any kind of torch device."""

    backend = "gsplat"
    sorts_in_space = False
    """gsplat sorts what a tile draws anyway; sorting columns on the host would cost more than it saves."""
    out_of_memory: tuple[type[BaseException], ...] = (torch.OutOfMemoryError,)

    def __init__(self, kind: str = "cuda", rasterization: Rasterization | None = None) -> None:
        self.name = kind
        self._device = torch.device(kind)
        self._adam = torch_update.Adam()
        self._gsplat = GsplatRasterizer(rasterization)
        self.rasterizer: base.Rasterizer = self._gsplat

    def put(self, array: npt.NDArray[Any]) -> Tensor:
        """A copy on the device."""
        return torch.tensor(np.ascontiguousarray(array), device=self._device)

    def get(self, array: Tensor) -> npt.NDArray[Any]:
        """A copy in numpy."""
        copied: npt.NDArray[Any] = array.detach().to("cpu", copy=True).numpy()
        return copied

    def opacities(self, planes: Tensor, count: int) -> npt.NDArray[np.float64]:
        """(count,); waits for the device."""
        return self.get(torch.sigmoid(planes[layout.OPACITY, :count].double()))

    def all_finite(self, array: Tensor) -> bool:
        """Whether no number is NaN or infinite; waits for the device."""
        return bool(torch.isfinite(array).all())

    def l1_ssim(
        self, image: Tensor, target: Tensor, lambda_ssim: float, weight: Tensor | None = None
    ) -> tuple[LossValue, Tensor]:
        """Loss and gradient; the numbers are tensors, and reading one waits for the device."""
        return torch_loss.l1_ssim(image, target, lambda_ssim, weight)

    def composite(self, image: Tensor, alpha: Tensor, background: Sequence[float]) -> Tensor:
        """Image over a colour."""
        return torch_loss.composite(image, alpha, background)

    def depth_loss(self, expected: Tensor, depth: Tensor, weight: float) -> tuple[float, Tensor]:
        """Loss (a tensor, too) and gradient."""
        return torch_loss.depth_loss(expected, depth, weight)

    def adam_step(
        self, planes: Tensor, grads: Tensor, m: Tensor, v: Tensor, count: int,
        rates: npt.NDArray[np.float32], step: int, beta1: float, beta2: float,
    ) -> None:  # fmt: skip
        """One step of Adam in place."""
        self._adam.step(planes, grads, m, v, count, rates, step, beta1, beta2)

    def add_noise(self, planes: Tensor, count: int, amount: float, seed: int, step: int) -> None:
        """Langevin noise in place."""
        torch_update.add_noise(planes, count, amount, seed, step)

    def regularise(self, planes: Tensor, grads: Tensor, count: int, opacity_reg: float, scale_reg: float) -> None:
        """Add to the gradients in place."""
        torch_update.regularise(planes, grads, count, opacity_reg, scale_reg)

    def add_colour_gradient(self, grads: Tensor, count: int, score: Tensor) -> None:
        """Add to the score in place."""
        torch_update.add_colour_gradient(grads, count, score)

    def fitted_gain(self, image: Tensor, target: Tensor) -> npt.NDArray[np.float64]:
        """(3,); waits for the device."""
        return self.get(torch_loss.fitted_gain(image, target))

    def scale_channels(self, image: Tensor, gain: npt.NDArray[np.float32]) -> Tensor:
        """A new tensor."""
        return image * torch.tensor(gain, dtype=torch.float32, device=image.device)

    def step_cost_ms(self, count: float, pixels: float) -> float:
        """See `schedule.cuda_step_cost_ms`."""
        return schedule.cuda_step_cost_ms(count, pixels)

    def memory_estimate(self, cap: int, pixels: int, views: int, bytes_per_pixel: float = 3.0) -> int:
        """See `memory.gpu_bytes`."""
        return memory.gpu_bytes(cap, pixels, views, bytes_per_pixel)

    def memory_available(self) -> int | None:
        """Bytes that the driver calls free and those that torch holds unused; None where the device is no GPU."""
        if self._device.type != "cuda":
            return None
        free, _ = torch.cuda.mem_get_info(self._device)
        return int(free) + torch.cuda.memory_reserved(self._device) - torch.cuda.memory_allocated(self._device)

    def release(self) -> None:
        """Let go of everything between two steps, and give cached memory back to the driver."""
        self._gsplat.forget()
        self._adam.forget()
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
