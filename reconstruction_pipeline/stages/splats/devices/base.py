"""The seam between the training loop and the machine: what a device must be able to do.

The loop, the schedule, MCMC's decisions, exposure, evaluation and checkpoints know only this. Arrays
are the device's own (numpy on the CPU, torch on CUDA) and are indexed, added and multiplied the same
way by both; what needs a kernel is a method here. `put` and `get` carry arrays over and back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.kernels.camera import PinholeView
from reconstruction_pipeline.kernels.loss import LossValue

Array = Any
"""An array of the device: numpy's on the CPU, torch's on CUDA."""


class Rendered(Protocol):
    """One picture, as device arrays; the meaning of every field is that of `kernels.rasterizer.Rendered`."""

    @property
    def image(self) -> Array:
        """(H, W, 3) float32."""

    @property
    def alpha(self) -> Array:
        """(H, W) float32."""

    @property
    def expected_depth(self) -> Array | None:
        """(H, W) float32, if asked for."""

    @property
    def contribution(self) -> Array | None:
        """(count,) float32, if asked for."""


class Rasterizer(Protocol):
    """Renders Gaussians and differentiates the picture; remembers the last forward for its backward."""

    def forward(
        self,
        planes: Array,
        count: int,
        view: PinholeView,
        *,
        sh_degree: int = 3,
        background: Sequence[float] = (0.0, 0.0, 0.0),
        near: float = 0.01,
        depth: bool = False,
        contribution: bool = False,
    ) -> Rendered:
        """The first `count` columns of `planes` (59, capacity) seen from `view`."""

    def backward(
        self,
        grad_image: Array,
        grads: Array,
        *,
        grad_expected_depth: Array | None = None,
        grad_alpha: Array | None = None,
    ) -> None:
        """Overwrite `grads` (59, capacity) with dL/dplanes of the last forward."""


class Device(Protocol):
    """Kernels of training on one kind of machine. Shapes: planes, grads, m, v (59, capacity) float32."""

    name: str
    """"cpu" or "cuda", as metrics say it."""
    backend: str
    """"numba" or "gsplat"."""
    rasterizer: Rasterizer
    sorts_in_space: bool
    """Whether kernels are faster when Gaussians near in space are near in memory."""
    out_of_memory: tuple[type[BaseException], ...]
    """What is raised where memory runs out, and a smaller number of Gaussians may help."""

    def put(self, array: npt.NDArray[Any]) -> Array:
        """The array on the device, its type kept; on the CPU the array itself, not a copy."""

    def get(self, array: Array) -> npt.NDArray[Any]:
        """A device array as numpy; on the CPU the array itself, not a copy."""

    def opacities(self, planes: Array, count: int) -> npt.NDArray[np.float64]:
        """Opacity in 0..1 of each of the first `count` Gaussians, in numpy."""

    def all_finite(self, array: Array) -> bool:
        """Whether no number is NaN or infinite."""

    def l1_ssim(
        self, image: Array, target: Array, lambda_ssim: float, weight: Array | None = None
    ) -> tuple[LossValue, Array]:
        """The loss of `kernels.loss.l1_ssim` and its gradient by `image`; `target` uint8 (as value / 255) or float.

        The loss's numbers may still be on the device: `float()` them, late, as that waits for it.
        """

    def composite(self, image: Array, alpha: Array, background: Sequence[float]) -> Array:
        """Premultiplied `image` (H, W, 3) uint8 with `alpha` (H, W) uint8 over a colour: (H, W, 3) float32."""

    def depth_loss(self, expected: Array, depth: Array, weight: float) -> tuple[float, Array]:
        """The loss of `losses.depth_loss` and its gradient by `expected` (H, W)."""

    def adam_step(
        self, planes: Array, grads: Array, m: Array, v: Array, count: int,
        rates: npt.NDArray[np.float32], step: int, beta1: float, beta2: float,
    ) -> None:  # fmt: skip
        """One step of Adam, a rate a row (59,), `step` counting from one; in place."""

    def add_noise(self, planes: Array, count: int, amount: float, seed: int, step: int) -> None:
        """Langevin noise on the means (`kernels.langevin.add_noise`); the same for the same seed and step."""

    def regularise(self, planes: Array, grads: Array, count: int, opacity_reg: float, scale_reg: float) -> None:
        """Add the gradients of the two regularisers of 3DGS-MCMC."""

    def add_colour_gradient(self, grads: Array, count: int, score: Array) -> None:
        """Add to `score` (capacity,) the absolute gradients by the base colour, summed over channels."""

    def fitted_gain(self, image: Array, target: Array) -> npt.NDArray[np.float64]:
        """(3,) the gain that fits `image` to `target` in least squares."""

    def scale_channels(self, image: Array, gain: npt.NDArray[np.float32]) -> Array:
        """image (H, W, 3) times gain (3,), a new array."""

    def step_cost_ms(self, count: float, pixels: float) -> float:
        """Modelled milliseconds of a step; only ratios matter (see `schedule.step_cost_ms`)."""

    def memory_estimate(self, cap: int, pixels: int, views: int, bytes_per_pixel: float = 3.0) -> int:
        """Bytes at the peak of a run with `cap` Gaussians on `views` pictures of `pixels`; a target's bytes a pixel."""

    def memory_available(self) -> int | None:
        """Bytes that a run may use here; None where nobody can say."""

    def release(self) -> None:
        """Let go of all buffers, when no step is under way."""
