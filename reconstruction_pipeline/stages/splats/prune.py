"""The final pruning: Gaussians that no training view sees anything of.

A Gaussian's contribution is its blend weight (alpha times transmittance) summed over all pixels of
the renders of the run's last part. Those that together hold only a few thousandths of it are
removed: fewer splats to store and to draw, for a change below what PSNR can show.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def kept(
    contribution: npt.NDArray[np.floating],
    opacity: npt.NDArray[np.floating],
    loss: float,
    min_opacity: float = 1.0 / 255.0,
) -> npt.NDArray[np.bool_]:
    """Mask (N,) of Gaussians to keep: the least contributing go, as long as together they hold at most `loss`.

    Gaussians too faint to be drawn go in any case. If nothing contributes (no renders), only those go.
    """
    drawn = np.asarray(opacity > min_opacity)
    total = float(np.sum(contribution, dtype=np.float64))
    if total <= 0.0:
        return drawn
    order = np.argsort(contribution, kind="stable")
    cumulative = np.cumsum(contribution[order], dtype=np.float64)
    useful = np.empty(len(contribution), bool)
    useful[order] = cumulative > loss * total
    return drawn & useful
