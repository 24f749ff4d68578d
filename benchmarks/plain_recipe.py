"""What the trainer has to beat: the published recipe of 3DGS-MCMC, shortened to the budget, on our kernels.

Kernels, initial points, cap and clock are the same; only what the published recipe says differs. Its values are
`CUDA_RECIPE` of the trainer (which is what runs on a GPU), each from gsplat 1.5, `examples/simple_trainer.py mcmc`,
and `gsplat/strategy/mcmc.py`; they are those of Kheradmand et al., "3D Gaussian Splatting as Markov Chain Monte
Carlo" (NeurIPS 2024) and, for learning rates, of Kerbl et al. (2023):

| setting | value | published as |
|---|---|---|
| rates: means | 1.6e-4 x extent of the cameras, to 1/100 | `means_lr`, `scene_scale`, `ExponentialLR` |
| rates: scales, quaternions, opacity, SH 0, rest | 5e-3, 1e-3, 5e-2, 2.5e-3, a 20th of it, constant | `scales_lr` ... |
| resolution | full, always | `data_factor` |
| SH degrees 1, 2, 3 | at steps 1000, 2000, 3000 of 30,000 | `sh_degree_interval` |
| refinement | every 100 steps from 500 to 25,000 of 30,000; +5 % until the cap | `refine_every`, ... |
| copies | by opacity; dead below 0.005 | `min_opacity` |
| noise | 5e5 x rate of the means | `noise_lr` |
| regularisers of opacity and scale | 0.01, 0.01 | `opacity_reg`, `scale_reg` |
| start | opacity 0.5, sigma 0.1 of the distance to three neighbours | `init_opa`, `init_scale` |
| decay of SH, weights by error, pruning at the end | none | - |

Steps are scaled to the length of the run as gsplat's `steps_scaler` does it, the 100 steps between refinements too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from reconstruction_pipeline.artifacts.colmap import read_model
from reconstruction_pipeline.artifacts.views import pinhole_view
from reconstruction_pipeline.stages.splats.normalisation import normalise
from reconstruction_pipeline.stages.splats.recipes import CUDA_RECIPE

PUBLISHED_STEPS, REFINE_EVERY, MEANS_RATE = 30_000, 100, 1.6e-4


def plain_recipe(project: Path, expected_steps: int) -> dict[str, Any]:
    """Changes to `TrainSettings` that make a run of about `expected_steps` on this project a plain one."""
    every = max(2, round(REFINE_EVERY * expected_steps / PUBLISHED_STEPS))
    return CUDA_RECIPE | {
        "lr_means": MEANS_RATE * camera_extent(project),
        "refine_every": every,
        "prune_loss": 0.0,
    }


def camera_extent(project: Path) -> float:
    """gsplat's `scene_scale`: 1.1 of the largest distance of a camera from their mean, in the trainer's frame."""
    model = read_model(project / "sparse" / "0")
    views = [pinhole_view(model, image) for image in model.images]
    centres = np.stack([view.center for view in views])
    distance = np.linalg.norm(centres - centres.mean(axis=0), axis=1).max()
    return float(1.1 * distance / normalise(views, model.xyz).scale)
