"""Everything a training run is, between two steps: enough to stop here and go on elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.artifacts.gaussian_splats import Gaussians
from reconstruction_pipeline.kernels import layout
from reconstruction_pipeline.stages.splats.devices.base import Array, Device
from reconstruction_pipeline.stages.splats.exposure import Exposure

LAST_EPOCH, THIS_EPOCH, CONTRIBUTION = 0, 1, 2
TALLIES = 3
"""Rows of `TrainState.tallies`."""


@dataclass(frozen=True)
class CurveRow:
    """A row of the training curve: mean loss since the row before."""

    step: int
    seconds: float
    loss: float
    count: int
    level: int


@dataclass
class TrainState:
    """Gaussians 0..count of `planes` (59, capacity) with their Adam moments, in the normalised frame.

    `elapsed` is the time used so far, in seconds; `order` is the present epoch's order of the views
    and `position` the place in it. `tallies` (3, capacity) are sums a Gaussian: the size of its colour
    gradients over the last whole epoch and over the present one (`epochs` were completed), and its
    blend weight over `contribution_views` renders of the run's last part, for the final pruning.
    These four arrays are a device's while it trains (`on`), and numpy's before, after and in checkpoints (`off`).
    """

    planes: Array
    m: Array
    v: Array
    count: int
    exposure: Exposure
    rng: np.random.Generator
    order: npt.NDArray[np.int64]
    tallies: Array
    step: int = 0
    elapsed: float = 0.0
    position: int = 0
    level: int = -1
    contribution_views: int = 0
    initial_psnr: float | None = None
    pace: float = 1.0
    epochs: int = 0
    loss_sum: float = 0.0
    loss_steps: int = 0
    curve: list[CurveRow] = field(default_factory=list)

    @property
    def moments(self) -> tuple[Array, Array]:
        """First and second Adam moment."""
        return self.m, self.v

    def on(self, device: Device) -> TrainState:
        """This state with its arrays on the device."""
        return self._carried(device.put)

    def off(self, device: Device) -> TrainState:
        """This state with its arrays in numpy."""
        return self._carried(device.get)

    def _carried(self, carry: Callable[[Array], Array]) -> TrainState:
        arrays = {name: carry(getattr(self, name)) for name in ("planes", "m", "v", "tallies")}
        return replace(self, **arrays)


def to_planes(gaussians: Gaussians, capacity: int | None = None) -> npt.NDArray[np.float32]:
    """Pack Gaussians for the kernels, with room for `capacity`."""
    g = gaussians
    return layout.to_planes(g.means, g.log_scales, g.quats, g.opacity_logits, g.sh, capacity)


def new_state(gaussians: Gaussians, cap: int, views: int, exposure: bool, seed: int) -> TrainState:
    """A state at step zero with room for `cap` Gaussians; columns beyond the count are invisible."""
    planes = to_planes(gaussians, cap)
    return TrainState(
        planes=planes,
        m=layout.aligned_zeros(planes.shape),
        v=layout.aligned_zeros(planes.shape),
        count=gaussians.count,
        exposure=Exposure.neutral(views, exposure),
        rng=np.random.default_rng(seed),
        order=np.empty(0, np.int64),
        tallies=np.zeros((TALLIES, planes.shape[1]), np.float32),
    )


def sort_in_space(state: TrainState, device: Device) -> None:
    """Put Gaussians that are near in space near in memory: tiles then share cache lines (faster, same pictures)."""
    n = state.count
    order = device.put(layout.spatial_order(device.get(state.planes[layout.MEAN : layout.MEAN + 3, :n]).T))
    for array in (state.planes, state.m, state.v, state.tallies):
        array[:, :n] = array[:, order]


def gaussians_of(state: TrainState) -> Gaussians:
    """The live Gaussians of a state in numpy (normalised frame), quaternions made unit."""
    means, log_scales, quats, opacity_logits, sh = layout.from_planes(state.planes, state.count)
    norm = np.linalg.norm(quats, axis=1, keepdims=True)
    identity = np.array([1, 0, 0, 0], np.float32)
    quats = np.where(norm > 1e-12, quats / np.maximum(norm, 1e-12), identity)
    return Gaussians(means, log_scales, quats.astype(np.float32), opacity_logits, sh)
