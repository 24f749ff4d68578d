"""A whole scene: the training that is measured and, where wanted, two more of the same budget.

The scene that is delivered is the one that was measured on held-out views, unless `final_on_all` asks for
another trained on every view. A contiguous `segment` of the path held out in a training of its own says how
the scene looks from where no camera passed; views held out one by one have neighbours on both sides.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from reconstruction_pipeline.artifacts.progress import Progress
from reconstruction_pipeline.stages.splats.initialisation import Points
from reconstruction_pipeline.stages.splats.lpips import find_lpips
from reconstruction_pipeline.stages.splats.optimise import Clock
from reconstruction_pipeline.stages.splats.settings import TrainSettings
from reconstruction_pipeline.stages.splats.train import TrainingResult, train_splats
from reconstruction_pipeline.stages.splats.views import TrainingView, held_out_names

SEGMENT_SHARE = 0.125
"""Share of the views in the held-out segment, taken from the middle of the path (at least two views)."""

DensePoints = Callable[[Sequence[str]], Points | None]
"""Points fused from the depth of the named training views."""


def segment_names(names: Sequence[str]) -> frozenset[str]:
    """The middle of the sorted names, as long as SEGMENT_SHARE says."""
    ordered = sorted(names)
    length = min(len(ordered) - 1, max(2, round(SEGMENT_SHARE * len(ordered))))
    first = (len(ordered) - length) // 2
    return frozenset(ordered[first : first + length])


def train_scene(
    views: Sequence[TrainingView],
    points: Points,
    settings: TrainSettings,
    progress: Progress,
    dense_for: DensePoints | None = None,
    checkpoint_folder: Path | None = None,
    resume: bool = False,
    clock: Clock = time.perf_counter,
    weights_folder: Path | None = None,
) -> TrainingResult:
    """Train and measure; then the segment and the final scene if the settings ask for them.

    Every training has the whole budget and a checkpoint of its own, so that `resume` repeats none that is
    done. With the weights of LPIPS in `weights_folder` it is measured too. Errors are those of `train_splats`,
    and InvalidArtifact where those weights are wrong.
    """
    perceptual = find_lpips(weights_folder)
    names = [view.name for view in views]

    def training(part: str, held_out: frozenset[str]) -> TrainingResult:
        rest = [name for name in names if name not in held_out]
        folder = None if checkpoint_folder is None else checkpoint_folder / part
        dense = None if dense_for is None else dense_for(rest)
        return train_splats(
            views, points, settings, _Named(progress, part), dense, folder, resume, clock, held_out, perceptual
        )

    held_out = held_out_names(names, settings.holdout)
    result = training("", held_out)
    if settings.segment:
        segment = training("segment", segment_names(names))
        result = replace(result, metrics={**result.metrics, "psnr_segment_db": segment.metrics["psnr_holdout_db"]})
    if settings.final_on_all and held_out:
        result = _delivered(result, training("final", frozenset()))
    if checkpoint_folder is not None:
        for part in ("segment", "final"):
            shutil.rmtree(checkpoint_folder / part, ignore_errors=True)
    return result


def _delivered(measured: TrainingResult, final: TrainingResult) -> TrainingResult:
    """The final scene with the figures of the measured one: the final one has no held-out views to measure on."""
    metrics = {**measured.metrics, "count": final.gaussians.count, "final_on_all": True}
    own = [gate for gate in final.gates if gate.name not in {"initial_points"}]
    kept = [gate for gate in measured.gates if gate.name not in {other.name for other in own}]
    gaussians = final.gaussians
    return replace(measured, gaussians=gaussians, metrics=metrics, gates=(*kept, *own), measured=measured.gaussians)


class _Named:
    """Progress of one of several trainings, under its name."""

    def __init__(self, progress: Progress, part: str) -> None:
        self._progress, self._part = progress, part

    def report(self, stage: str, done: float, total: float, note: str = "") -> None:
        """Pass the report on."""
        self._progress.report(f"{stage} ({self._part})" if self._part else stage, done, total, note)
