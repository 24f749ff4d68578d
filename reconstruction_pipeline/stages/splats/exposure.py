"""Per-image exposure compensation: a gain and an offset a channel, learned beside the scene.

Phones change exposure and white balance along a take; without compensation the scene must explain
that with view-dependent colour and with haze. The gains have no say in what a pixel of the scene is
worth on the average: their logarithms and the offsets are kept at zero mean over all views, so the
delivered scene has the average exposure. Evaluation never uses them (PSNR is raw).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.stages.splats.settings import TrainSettings

Array = npt.NDArray[np.float32]
LEARNING_RATE = 1e-2
FINAL = 0.1
"""The rate falls exponentially to this fraction of itself."""
WORTHWHILE_SPREAD = 0.02
"""Standard deviation of log gain over views above which "auto" keeps compensation on."""


@dataclass
class Exposure:
    """`values` (V, 6): log gain and offset of red, green, blue of each training view; Adam moments and step counts."""

    values: Array
    m: Array
    v: Array
    steps: npt.NDArray[np.int64]
    active: bool

    @classmethod
    def neutral(cls, views: int, active: bool) -> Exposure:
        """Gain one, offset zero."""
        zeros = np.zeros((views, 6), np.float32)
        return cls(zeros, zeros.copy(), zeros.copy(), np.zeros(views, np.int64), active)

    def gain(self, view: int) -> Array:
        """(3,) gain of a view."""
        return np.exp(self.values[view, :3])

    def offset(self, view: int) -> Array:
        """(3,) offset of a view."""
        return self.values[view, 3:]


def update(exposure: Exposure, view: int, gradient: Array, progress: float) -> None:
    """One Adam step of a view's row from dL/d(gain, offset); then the mean over all views is taken out."""
    by_value = gradient.copy()
    by_value[:3] *= exposure.gain(view)
    exposure.steps[view] += 1
    t = int(exposure.steps[view])
    exposure.m[view] = 0.9 * exposure.m[view] + 0.1 * by_value
    exposure.v[view] = 0.99 * exposure.v[view] + 0.01 * by_value**2
    m = exposure.m[view] / (1.0 - 0.9**t)
    v = exposure.v[view] / (1.0 - 0.99**t)
    rate = LEARNING_RATE * FINAL**progress
    exposure.values[view] -= (rate * m / (np.sqrt(v) + 1e-12)).astype(np.float32)
    exposure.values -= exposure.values.mean(axis=0)


def spread(exposure: Exposure) -> float:
    """Standard deviation over views of the log gain, channels averaged."""
    return float(exposure.values[:, :3].mean(axis=1).std())


def starts_active(settings: TrainSettings, views: int) -> bool:
    """Whether compensation is learned from the start ("auto" tries it)."""
    return settings.exposure != "off" and views > 1


def decide(exposure: Exposure, settings: TrainSettings) -> None:
    """For "auto": drop compensation when the views turned out to be exposed alike."""
    if settings.exposure == "auto" and exposure.active and spread(exposure) < WORTHWHILE_SPREAD:
        exposure.active = False
        exposure.values[:] = 0.0
