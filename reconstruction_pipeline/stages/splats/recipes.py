"""How training differs by device: few, careful steps on a CPU; the field's many on CUDA.

`TrainSettings` defaults are tuned for the few hundred to few thousand steps that a CPU has time for. A GPU has time
for 30 000, for which the published recipe is made: 3DGS-MCMC (Kheradmand et al., NeurIPS 2024) as in the MCMC
preset of gsplat's trainer. Its lengths are in units of the scene's extent, about our median depth.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from reconstruction_pipeline.stages.splats.settings import TrainSettings

CUDA_STEPS, CUDA_CAP = 30_000, 1_000_000
CAP_EXPONENT = 0.83
"""A run of fewer steps wants fewer Gaussians: 7 000 steps 300 000, as the field's fast preset has it."""

CUDA_RECIPE: dict[str, Any] = {
    # Learning rates as published, and only the means' falls: to a hundredth.
    "lr_scale": 1.0,
    "lr_means": 1.6e-4,
    "means_final": 0.01,
    "lr_opacity": 5e-2,
    "cooldown_start": 1.0,
    "cooldown_final": 1.0,
    "beta2": 0.999,
    # One resolution; a degree of SH more every thousand of 30 000 steps.
    "level_steps": (1.0,),
    "sh_start": (1 / 30, 2 / 30, 3 / 30),
    "sh_decay": 0.0,
    # Refinement every 100 steps from step 500 to step 25 000, growing by 5 % each time until the cap is reached.
    "refine_every": 100,
    "refine_until": 25 / 30,
    "grow_start": 1 / 60,
    "grow_until": 1 / 60,
    "growth_limit": 1.05,
    # Copies by opacity alone; dead is what is faint.
    "by_error": 0.0,
    "useless": 0.0,
    "noise": 5e5,
    "opacity_reg": 0.01,
    "scale_reg": 0.01,
    "initial_opacity": 0.5,
    "initial_scale": 0.1,
}


def cuda_cap(steps: int) -> int:
    """The number of Gaussians that a run of that many steps on CUDA is planned for."""
    return max(10_000, round(CUDA_CAP * min(1.0, steps / CUDA_STEPS) ** CAP_EXPONENT))


def with_cuda(settings: TrainSettings, *, budget: bool = False, **changes: Any) -> TrainSettings:
    """`settings` for a CPU that become the published recipe, with `changes`, where training turns out to be on CUDA.

    `budget` tells that someone chose the steps or seconds in `settings`, which then hold on CUDA too; else a run
    there has 30 000 steps, or those in `changes`.
    """
    if not budget:
        changes = {"steps": CUDA_STEPS, "seconds": None, **changes}
    steps = changes.get("steps", settings.steps)
    if settings.max_splats is None and steps is not None:
        changes = {"max_splats": cuda_cap(steps), **changes}
    return replace(settings, on_cuda={**CUDA_RECIPE, **changes})


def resolved(settings: TrainSettings, device: str) -> TrainSettings:
    """The settings that hold on "cpu" or "cuda", `on_cuda` used up."""
    chosen = settings.on_cuda if device == "cuda" else {}
    return replace(settings, on_cuda={}, **chosen)
