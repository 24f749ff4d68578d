"""Hyperparameters of the trainer, as one frozen table.

Learning rates, regularisers and MCMC constants start from the published recipes (gsplat's MCMC
preset; 3DGS-MCMC, Kheradmand et al. 2024) and differ where few steps on a CPU call for it; all
lengths are in the normalised frame, where the median depth of the scene is one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from reconstruction_pipeline.artifacts.errors import UsageError

DeviceName = Literal["auto", "cpu", "cuda"]


@dataclass(frozen=True)
class TrainSettings:
    """What a training run is told; `steps` or `seconds` is the budget, exactly one of them.

    `max_size` is the longest side trained at, in pixels (None: the images' own size).
    `max_splats` is a hard cap on the number of Gaussians (None: planned from the budget).
    `holdout` K holds out views 0, K, 2K, ... in name order (0: none).
    `threads` None means all cores.
    """

    steps: int | None = None
    seconds: float | None = 60.0
    max_splats: int | None = None
    max_size: int | None = None
    sh_degree: int = 3
    seed: int = 0
    holdout: int = 0
    segment: bool = False
    """Also train with a contiguous segment of the path held out, and measure on it (`psnr_segment_db`)."""
    final_on_all: bool = False
    """Deliver a scene trained on every view, after the measured one."""
    device: DeviceName = "auto"
    threads: int | None = None

    lambda_ssim: float = 0.2
    lr_means: float = 3e-4
    lr_log_scales: float = 5e-3
    lr_quats: float = 1e-3
    lr_opacity: float = 2.5e-2
    lr_sh0: float = 2.5e-3
    lr_sh_rest: float = 2.5e-3 / 20
    lr_scale: float | None = None
    """All rates times this: few steps want larger ones. None: planned, 8.8 (800 / steps)^0.26 within 2..13."""
    means_final: float = 0.05
    """The rate of the means falls exponentially to this fraction of itself."""
    cooldown_start: float = 0.75
    cooldown_final: float = 0.07
    """From `cooldown_start` of the run on, every other rate falls to `cooldown_final` of itself."""
    beta1: float = 0.9
    beta2: float = 0.99
    """Adam remembers some 100 steps of squared gradients, not 1000: those of the first, coarse steps are far larger
    than what comes later, and in a run of few thousand steps would slow all that is left."""

    level_steps: tuple[float, ...] = (0.15, 0.45, 0.40)
    """Shares of the steps at a quarter, half and full size; the first is dropped for small images."""
    min_level_size: int = 100
    """No level has a longest side below this many pixels."""
    sh_start: tuple[float, float, float] = (0.05, 0.1, 0.15)
    """Progress at which SH degrees 1, 2 and 3 join."""

    depth_weight: float = 0.0
    """Weight of the depth loss at the start, where there are depth maps; 0: none."""
    depth_weight_final: float = 0.1
    """It falls exponentially to this fraction of itself: depth maps place things, pictures finish them."""
    depth_every: int = 4
    """Only every so many steps compare depth, which costs about half a rendering more."""

    dense_share: float = 0.8
    """Dense points are added up to this share of the cap; MCMC places the rest where the error is. 0: none
    are made, and training starts from the sparse points."""
    initial_opacity: float = 0.5
    initial_scale: float = 0.6
    """Sigma of an initial Gaussian in units of the RMS distance to its three nearest neighbours."""
    refine_every: int = 50
    refine_until: float = 0.85
    grow_start: float = 0.1
    grow_until: float = 0.6
    growth_limit: float | None = None
    """The most that one refinement may multiply the count by; None: as the schedule has it."""
    min_opacity: float = 0.005
    useless: float = 0.02
    """A Gaussian whose colour gradients over a whole epoch sum to less than this share of the mean is moved too."""
    by_error: float = 0.75
    """Copies are drawn by opacity times this power of those sums: where much is still wrong. 0: by opacity alone."""
    max_elongation: float | None = None
    """Longest over middle axis, limited at every refinement. None: no limit."""
    noise: float = 2e5
    opacity_reg: float = 0.0
    scale_reg: float = 0.0
    sh_decay: float = 0.2
    """Decoupled weight decay of the coefficients above degree 0, per unit of their learning rate: calmer
    coefficients compress better, at no cost in PSNR beyond the noise (fox: 30.1 dB with and without)."""

    exposure: Literal["off", "on", "auto"] = "off"
    prune_loss: float = 2e-3
    """Share of the total blend weight that the final pruning may remove."""
    checkpoint_seconds: float = 30.0
    on_cuda: Mapping[str, Any] = field(default_factory=dict)
    """What holds instead, by name, where training turns out to be on CUDA (see `recipes`)."""

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.seconds is None):
            raise UsageError("Give the training budget either in steps or in seconds, not both.")
        if (self.steps is not None and self.steps < 1) or (self.seconds is not None and self.seconds <= 0):
            raise UsageError("The training budget must be positive.")
        if not 0 <= self.sh_degree <= 3:
            raise UsageError(f"SH degree {self.sh_degree} is not between 0 and 3.")
        if self.max_splats is not None and self.max_splats < 1000:
            raise UsageError(f"A cap of {self.max_splats} splats is too small; give at least 1000.")
