"""Which frames to keep, decided from numbers alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.stages.keyframes.analysis import Analysis
from reconstruction_pipeline.stages.keyframes.chain import LEAST_GAP, best_chain
from reconstruction_pipeline.stages.keyframes.settings import KeyframeSettings
from reconstruction_pipeline.stages.keyframes.sharpness import relative_sharpness
from reconstruction_pipeline.stages.keyframes.speed import speed_of

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]

# Spacing follows parallax within these bounds, times that of plain image motion.
DENSEST, SPARSEST = 1.5, 0.6
# Frames a second grow with speed to the power of 1 - LINGERING, within a factor of MOST_LINGERING. Where the error of
# a view grows with its distance from the nearest frame, to a power p, the mean over time is least for p / (p + 1).
LINGERING, MOST_LINGERING = 0.4, 2.0
# A path too long for the wanted count gets up to this many times as many.
MOST_OF_COUNT = 1.5
# At most this share of the chosen frames may be kept back from training: beyond it, soft is what the capture is.
MOST_LINKS = 1 / 3
# Rounds in which the window is fitted to the count.
ROUNDS = 6


@dataclass(frozen=True)
class Selection:
    """`chosen` frame indices, ascending, and which of them to train on (`train`); `reasons` one a frame.

    `window` is the motion each stands for, `largest_gap` the most between two of them (fractions of the diagonal);
    `relative` is the sharpness of every frame relative to its neighbours in time, and `viewpoint` how far its place
    lies along the path (`viewpoint` below); both are 0 outside the scene.
    """

    chosen: Index
    train: npt.NDArray[np.bool_]
    reasons: list[str]
    scene: int
    window: float
    largest_gap: float
    relative: Array
    viewpoint: Array


def largest_scene(analysis: Analysis) -> int:
    """The scene with the most frames; the first of equals."""
    return int(np.argmax(np.bincount(analysis.scene))) if len(analysis.scene) else 0


def select(analysis: Analysis, settings: KeyframeSettings) -> Selection:
    """Sharp frames at even steps of viewpoint, in the largest scene.

    A camera at rest adds one frame at most. A soft frame is chosen only where leaving it out would tear the path, and
    then not trained on. A capture without any motion gives `min_frames` spread over time (its gate refuses it, people
    see why).
    """
    scene = largest_scene(analysis)
    members = np.flatnonzero(analysis.scene == scene)
    relative = np.zeros(len(analysis.times))
    relative[members] = relative_sharpness(analysis.times[members], analysis.sharpness[members])
    flow = analysis.progress[members]
    travelled = float(flow[-1] - flow[0])
    if travelled < settings.min_motion_fraction:
        return _spread_over_time(analysis, members, relative, scene, travelled, settings)
    far = viewpoint(analysis, scene)
    path = far[members]
    rows = _fitted(path, flow, relative[members], _count(travelled, settings), settings)
    chosen = members[rows]
    train = _to_train_on(relative[chosen], settings)
    reasons = _reasons(analysis, members, relative, chosen, train, path, settings)
    gaps = np.diff(analysis.progress[chosen])
    largest = float(gaps.max()) if len(gaps) else 0.0
    return Selection(chosen, train, reasons, scene, travelled / len(chosen), largest, relative, far)


def viewpoint(analysis: Analysis, scene: int) -> Array:
    """How far the viewpoint has come, one entry a frame: image motion, weighted by how much of it is parallax.

    Turning in place moves the picture as fast as walking does but shows nothing from a new place, so its frames
    may lie further apart. People move slowly where something matters: there frames lie closer than motion alone would
    have it, though not as close as time would. As long in all as the motion itself.
    """
    spans = analysis.spans_of(scene)
    rate = np.ones(len(analysis.times))
    if spans:
        ratios = np.array([s.residuals / max(s.motion_px, 1e-6) for s in spans])
        ratio = ratios[:, int(np.argmin(np.median(ratios, axis=0)))]
        usual = max(float(np.median(ratio)), 1e-6)
        for span, value in zip(spans, ratio, strict=True):
            rate[span.first + 1 : span.last + 1] = np.clip(value / usual, SPARSEST, DENSEST)
    members = analysis.scene == scene
    speed = speed_of(np.maximum.accumulate(analysis.times[members]), analysis.progress[members])
    usual = float(np.median(speed[speed > 0])) if (speed > 0).any() else 1.0
    slow = (np.maximum(speed, 1e-9) / usual) ** -LINGERING
    rate[members] *= np.clip(slow, 1 / MOST_LINGERING, MOST_LINGERING)
    steps = np.maximum(np.diff(analysis.progress[members], prepend=analysis.progress[members][0]), 0) * rate[members]
    total, weighted = float(np.ptp(analysis.progress[members])), float(steps.sum())
    result = np.zeros(len(analysis.times))
    result[members] = np.cumsum(steps) * (total / weighted if weighted > 0 else 1.0)
    return result


def _count(travelled: float, settings: KeyframeSettings) -> int:
    """As many as the preset wants and the path has to show; more where they would be out of each other's reach."""
    needed = travelled / settings.link_fraction
    most = np.clip(needed, settings.count, MOST_OF_COUNT * settings.count)
    return int(np.clip(travelled / settings.spacing_fraction, settings.min_frames, most))


def _fitted(path: Array, flow: Array, relative: Array, count: int, settings: KeyframeSettings) -> Index:
    """The best chain of about `count` frames and never more: soft stretches use up fewer, the others get the rest."""
    total = float(path[-1] - path[0])
    window = total / count
    least = settings.spacing_fraction if count > settings.min_frames else 0.0
    lack, soft = 1.0 - np.minimum(relative, 1.2), relative < settings.soft
    best: Index | None = None
    for _ in range(ROUNDS):
        link = max(settings.link_fraction, 1.5 * window)
        rows = best_chain(path / window, flow / link, lack, soft)
        if len(rows) <= count and (best is None or len(rows) > len(best)):
            best = rows
        if best is not None and len(best) >= 0.95 * count:
            break
        window = max(window * len(rows) / (count - 0.5), least)
    if best is None:
        best = rows[np.unique(np.linspace(0, len(rows) - 1, count).round().astype(int))]
    return best


def _to_train_on(relative: Array, settings: KeyframeSettings) -> npt.NDArray[np.bool_]:
    """Which of the chosen frames are sharp enough, given the relative sharpness of each."""
    most = min(int(MOST_LINKS * len(relative)), max(len(relative) - settings.min_frames, 0))
    softest = np.argsort(relative, kind="stable")[:most]
    train = np.ones(len(relative), bool)
    train[softest[relative[softest] < settings.soft]] = False
    return train


def _spread_over_time(
    analysis: Analysis, members: Index, relative: Array, scene: int, travelled: float, settings: KeyframeSettings
) -> Selection:
    times = analysis.times[members]
    wanted = np.linspace(times[0], times[-1], min(settings.min_frames, len(members)))
    chosen = members[np.unique(np.searchsorted(times, wanted).clip(0, len(times) - 1))]
    reasons = np.full(len(analysis.times), "another scene", object)
    reasons[members] = "no motion"
    reasons[chosen] = "chosen"
    window = travelled / max(len(chosen), 1)
    train, far = np.ones(len(chosen), bool), np.zeros(len(analysis.times))
    return Selection(chosen, train, [str(r) for r in reasons], scene, window, window, relative, far)


def _reasons(
    analysis: Analysis,
    members: Index,
    relative: Array,
    chosen: Index,
    train: npt.NDArray[np.bool_],
    path: Array,
    settings: KeyframeSettings,
) -> list[str]:
    """Why each frame was chosen or not, in a few words."""
    reasons = np.full(len(analysis.times), "another scene", object)
    reasons[members] = "its neighbour along the path is sharper"
    picked = np.sort(path[np.searchsorted(members, chosen)])
    window = float(np.median(np.diff(picked))) if len(picked) > 1 else 1.0
    after = np.searchsorted(picked, path).clip(1, len(picked) - 1) if len(picked) > 1 else np.zeros(len(path), int)
    nearest = np.minimum(np.abs(path - picked[after - 1]), np.abs(path - picked[after]))
    reasons[members[nearest < LEAST_GAP * window]] = "nearly the same view as a chosen one"
    reasons[members[relative[members] < settings.soft]] = "soft"
    reasons[members[nearest <= 0]] = "no motion since a chosen one"
    reasons[chosen[train]] = "chosen"
    reasons[chosen[~train]] = "chosen for the poses only: soft, but it links the path"
    return [str(reason) for reason in reasons]
