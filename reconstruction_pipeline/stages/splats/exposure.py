"""Per-image exposure compensation: a gain a channel and view, found beside the scene.

Phones change exposure and white balance along a take; without compensation the scene must explain
that with view-dependent colour and with haze. Each time a view is rendered, its gain moves towards
the one that fits the render to the picture best (a closed form; it needs no learning rate). The
logarithms are kept at zero mean over all views, so the delivered scene has the average exposure.
Evaluation never uses gains (PSNR is raw), and so pays for every difference in exposure: it is off
unless asked for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.stages.splats.settings import TrainSettings

Array = npt.NDArray[np.float32]
START = 0.05
"""Before this progress the first Gaussians leave holes, which a gain must not fill."""
SMOOTHING = 0.65
"""Share of the way to the fitted gain, each time: slower, and view-dependent colour explains the gains first."""
LIMIT = 0.7
"""Largest |log gain|: a factor of two."""
WORTHWHILE_SPREAD = 0.03
"""Standard deviation of log gain over views above which "auto" keeps compensation on."""


@dataclass
class Exposure:
    """`log_gains` (V, 3): natural log of the gain of red, green, blue of each training view."""

    log_gains: Array
    active: bool

    @classmethod
    def neutral(cls, views: int, active: bool) -> Exposure:
        """Gain one everywhere."""
        return cls(np.zeros((views, 3), np.float32), active)

    def gain(self, view: int) -> Array:
        """(3,) gain of a view."""
        return np.exp(self.log_gains[view])


def update(exposure: Exposure, view: int, fitted: npt.NDArray[np.float64], progress: float) -> None:
    """Move a view's gain towards the fitted one (3,), then take the mean over all views out."""
    if progress < START:
        return
    wanted = np.clip(np.log(np.clip(fitted, 1e-3, 1e3)), -LIMIT, LIMIT)
    exposure.log_gains[view] += (SMOOTHING * (wanted - exposure.log_gains[view])).astype(np.float32)
    exposure.log_gains -= exposure.log_gains.mean(axis=0)


def spread(exposure: Exposure) -> float:
    """Standard deviation over views of the log gain, channels averaged."""
    return float(exposure.log_gains.mean(axis=1).std())


def starts_active(settings: TrainSettings, views: int) -> bool:
    """Whether compensation is looked for from the start ("auto" tries it)."""
    return settings.exposure != "off" and views > 1


def decide(exposure: Exposure, settings: TrainSettings) -> None:
    """For "auto": drop compensation when the views turned out to be exposed alike."""
    if settings.exposure == "auto" and exposure.active and spread(exposure) < WORTHWHILE_SPREAD:
        exposure.active = False
        exposure.log_gains[:] = 0.0
