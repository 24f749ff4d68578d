"""The trained scene: 3D Gaussians with view-dependent colour."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.artifacts.base import Artifact

if TYPE_CHECKING:
    import pandas as pd

Array = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Gaussians:
    """N Gaussians in the parameterisation of the 3DGS PLY; all float32.

    `means` (N, 3) world; `log_scales` (N, 3) natural log of sigma; `quats` (N, 4) wxyz, unit;
    `opacity_logits` (N,); `sh` (N, 16, 3) spherical-harmonics coefficients, coefficient-major
    (unused degrees are zero), colour = max(0, 0.5 + sum_k sh_k * Y_k).
    """

    means: Array
    log_scales: Array
    quats: Array
    opacity_logits: Array
    sh: Array

    @property
    def count(self) -> int:
        """Number of Gaussians."""
        return int(self.means.shape[0])

    def take(self, index: npt.NDArray[np.intp] | npt.NDArray[np.bool_]) -> Gaussians:
        """A subset or a permutation."""
        return Gaussians(*(getattr(self, field.name)[index] for field in fields(self)))


@dataclass(frozen=True)
class GaussianSplats(Artifact):
    """`scene.ply` (3DGS), `training_curve.csv`, `evaluation.csv` (a row per held-out view).

    `comparisons/<image name>.jpg`: the photo, the render and the error map of held-out views, side by side.
    """

    KIND: ClassVar[str] = "gaussian_splats"
    REQUIRED: ClassVar[tuple[str, ...]] = ("scene.ply",)

    def gaussians(self) -> Gaussians:
        """Read the scene."""
        from reconstruction_pipeline.artifacts.ply import read_ply

        return read_ply(self.path("scene.ply"))

    def training_curve(self) -> pd.DataFrame:
        """Loss over steps: `step`, `seconds`, `loss`, `count`, `level`."""
        import pandas as pd

        return pd.read_csv(self.path("training_curve.csv"))

    def evaluation(self) -> pd.DataFrame:
        """Held-out views: `name`, `psnr`, `ssim`, `lpips` (NaN where its weights were absent)."""
        import pandas as pd

        return pd.read_csv(self.path("evaluation.csv"))
