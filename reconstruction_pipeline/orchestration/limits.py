"""How long each stage may take: far above what it needs, so that only what hangs is stopped.

The clock starts when a stage starts, not while its step waits for a place in the pool. A stage that ran out of
time is not tried again: it would run out of time again.
"""

from __future__ import annotations

from collections.abc import Mapping

from reconstruction_pipeline.external.descriptor import Program
from reconstruction_pipeline.presets import Preset

MINUTES: Mapping[str, float] = {
    "source_video": 60,
    "keyframes": 60,
    "camera_poses": 120,
    "depth_maps": 120,
    "gaussian_splats": 60,
    "mesh": 120,
    "compressed_splats": 60,
    "scene_report": 30,
}
"""Per stage, at a factor of 1; training gets its own budget on top."""
STEP_BUDGET_MINUTES = 180.0
"""For a training whose budget is in steps: hours on the slowest card that can hold the scene."""
MAX_FACTOR = 3.0
MAX_SECONDS = 20 * 3600.0
"""No step takes longer than this, whatever it was told; retention counts on it (`artifacts.superseded.GRACE`)."""


def limit_seconds(stage: str, row: Preset, factor: float = 1.0) -> float:
    """Wall time that a stage may take with these settings, seconds."""
    minutes = MINUTES[stage]
    if stage == "gaussian_splats":
        minutes += _training_minutes(row)
    return min(60.0 * minutes * factor, MAX_SECONDS)


def limit_of_program(program: Program, limit: float) -> float:
    """The same where a program that is not ours does the work: its own limit, and time to measure what it made."""
    return min(max(limit, 60.0 * program.time_limit_minutes + limit), MAX_SECONDS)


def _training_minutes(row: Preset) -> float:
    """Budgets of every training of the stage (the measured one, a held-out segment's, one on every view), doubled."""
    settings = row.gaussian_splats
    trainings = 1 + settings.segment + settings.final_on_all
    in_seconds = 2 * trainings * (settings.seconds or 0.0) / 60
    in_steps = STEP_BUDGET_MINUTES if settings.steps or "steps" in settings.on_cuda else 0.0
    return max(in_seconds, in_steps)
