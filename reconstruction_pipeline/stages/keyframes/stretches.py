"""Where in time a capture is weak, and what to film differently there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.stages.keyframes.analysis import Analysis
from reconstruction_pipeline.stages.keyframes.motion import FOLLOWED
from reconstruction_pipeline.stages.keyframes.selection import Selection
from reconstruction_pipeline.stages.keyframes.settings import KeyframeSettings
from reconstruction_pipeline.stages.keyframes.speed import speed_of

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Kind = Literal["fast", "blurred", "static", "dark", "burnt out", "textureless", "turning"]

# Diagonals a second: at 1/60 s of exposure the first smears a 1080p picture over 18 pixels; below the second the
# camera stands still.
FAST, STILL = 0.5, 0.004
# Mean grey level below which, and share of white pixels above which, a picture says little.
DARK_MEAN, BURNT_SHARE = 28.0, 0.25
# Seconds: the shortest stretch worth telling, and the longest pause within one. Sharp frames between soft ones are what
# selection lives on: no blurred stretch goes across one.
SHORTEST_S: dict[Kind, float] = {
    "fast": 0.3, "blurred": 0.3, "static": 1.5, "dark": 0.5, "burnt out": 0.5, "textureless": 0.5, "turning": 1.0
}  # fmt: skip
PAUSE_S: dict[Kind, float] = {"blurred": 0.0}
USUAL_PAUSE_S = 0.25
MOST_TOLD = 4


@dataclass(frozen=True)
class Stretch:
    """From `first_s` to `last_s` seconds of the video."""

    kind: Kind
    first_s: float
    last_s: float

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.last_s - self.first_s


def find_stretches(analysis: Analysis, selection: Selection, settings: KeyframeSettings) -> list[Stretch]:
    """Weak stretches of the scene that is used, in order of time."""
    members = np.flatnonzero(analysis.scene == selection.scene)
    times = np.maximum.accumulate(analysis.times[members])
    sampled = np.searchsorted(analysis.samples.frame, members, side="right").clip(1) - 1
    samples = analysis.samples
    dark = (samples.mean < DARK_MEAN)[sampled]
    speed = speed_of(times, analysis.progress[members])
    lost = (samples.textured & (samples.tracked < FOLLOWED))[sampled]
    lost[0] = False  # nothing comes before the first frame
    textureless = ~samples.textured[sampled] & ~dark
    flags: dict[Kind, Flags] = {
        "fast": (speed > FAST) | lost,
        # What shows nothing has no edges, however still the camera is held.
        "blurred": (selection.relative[members] < settings.soft) & ~dark & ~textureless,
        "static": speed < STILL,
        "dark": dark,
        "burnt out": (samples.burnt > BURNT_SHARE)[sampled],
        "textureless": textureless,
        "turning": _turning(analysis, selection.scene, settings)[members],
    }
    found = [s for kind, flag in flags.items() for s in _runs(kind, times, flag)]
    return sorted(found, key=lambda s: (s.first_s, s.kind))


def share(stretches: list[Stretch], kind: Kind, seconds: float) -> float:
    """Part of `seconds` in stretches of that kind."""
    return min(sum(s.seconds for s in stretches if s.kind == kind) / seconds, 1.0) if seconds > 0 else 0.0


def listed(stretches: list[Stretch], *kinds: Kind) -> str:
    """ "2.1-3.4 s, 7.0-7.6 s and 3 more", the longest first; empty without any."""
    of = sorted((s for s in stretches if s.kind in kinds), key=lambda s: -s.seconds)
    told = sorted(of[:MOST_TOLD], key=lambda s: s.first_s)
    text = ", ".join(f"{s.first_s:.1f}-{s.last_s:.1f} s" for s in told)
    return text + (f" and {len(of) - len(told)} more" if len(of) > len(told) else "")


def _turning(analysis: Analysis, scene: int, settings: KeyframeSettings) -> Flags:
    """Frames in spans that a turning camera explains, all of one focal length."""
    result = np.zeros(len(analysis.times), bool)
    spans = analysis.spans_of(scene)
    if not spans:
        return result
    ratios = np.array([s.residuals / max(s.motion_px, 1e-6) for s in spans])
    for span, ratio in zip(spans, ratios[:, int(np.argmin(np.median(ratios, axis=0)))], strict=True):
        if ratio < settings.min_parallax:
            result[span.first : span.last + 1] = True
    return result


def _runs(kind: Kind, times: Array, flag: Flags) -> list[Stretch]:
    """Stretches of set flags, across short pauses."""
    rows = np.flatnonzero(flag)
    if not len(rows):
        return []
    breaks = np.flatnonzero((np.diff(rows) > 1) & (np.diff(times[rows]) > PAUSE_S.get(kind, USUAL_PAUSE_S))) + 1
    parts = np.split(rows, breaks)
    found = [Stretch(kind, float(times[part[0]]), float(times[part[-1]])) for part in parts]
    return [s for s in found if s.seconds >= SHORTEST_S[kind]]
