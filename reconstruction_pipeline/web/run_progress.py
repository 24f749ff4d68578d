"""How far a run is, from its events in Dagster's log alone, so that a restarted server knows the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
from dagster import DagsterEventType as Kind

from reconstruction_pipeline.orchestration.names import STAGES
from reconstruction_pipeline.orchestration.progress import Logged, logged
from reconstruction_pipeline.presets import PRESETS

# Seconds of each stage for five seconds of video with preset balanced on two cores; only their ratios matter.
SECONDS: Mapping[str, float] = {
    "source_video": 2,
    "keyframes": 4,
    "camera_poses": 32,
    "depth_maps": 6,
    "gaussian_splats": 106,
    "mesh": 11,
    "compressed_splats": 7,
    "scene_report": 4,
}
TRAINING = "training"
UNEXPLAINED = "The run failed; its page in Dagster has the log."


@dataclass
class RunProgress:
    """Follows one run; `stages` are those that it executes, `trainings` how many of them its splats take."""

    stages: tuple[str, ...] = STAGES
    trainings: int = 1
    cursor: str | None = None
    ended: bool = False
    at_work: list[str] = field(default_factory=list)
    done: set[str] = field(default_factory=set)
    shares: dict[str, float] = field(default_factory=dict)
    detail: str = ""
    failure: str = ""
    _trained: list[str] = field(default_factory=list)
    _reached: float = 0.0

    @classmethod
    def of(cls, run: dg.DagsterRun) -> RunProgress:
        """The progress of a run of which no event was read yet."""
        chosen = {key.path[-1] for key in run.asset_selection} if run.asset_selection else set(STAGES)
        if run.step_keys_to_execute:
            chosen &= set(run.step_keys_to_execute)
        config = pipeline_config(run)
        preset = PRESETS.get(str(config.get("preset")), PRESETS["balanced"])
        trainings = 1 + bool(preset.gaussian_splats.segment) + bool(config.get("final_on_all"))
        return cls(tuple(stage for stage in STAGES if stage in chosen), trainings)

    @property
    def stage(self) -> str:
        """The stage at work: the first of them in the line's order, else the one that comes next, "" after the last."""
        waiting = [stage for stage in self.stages if stage not in self.done]
        working = [stage for stage in waiting if stage in self.at_work]
        return next(iter(working or waiting), "")

    @property
    def stage_progress(self) -> float:
        """How much of that stage is done, 0 to 1."""
        return self.shares.get(self.stage, 0.0)

    @property
    def progress(self) -> float:
        """How much of the run is done, 0 to 1; never less than before."""
        total = sum(SECONDS[stage] for stage in self.stages) or 1.0
        done = sum(SECONDS[s] * (1.0 if s in self.done else self.shares.get(s, 0.0)) for s in self.stages)
        self._reached = max(self._reached, done / total)
        return self._reached

    def feed(self, entry: dg.EventLogEntry) -> None:
        """Take in the next event of the run."""
        event = entry.dagster_event
        if event is None:
            if entry.step_key in self.stages and (line := logged(entry.user_message)):
                self._report(str(entry.step_key), line)
            return
        step = event.step_key or ""
        kind = event.event_type
        if kind in (Kind.STEP_START, Kind.STEP_RESTARTED) and step in self.stages:
            self.at_work.append(step)
            self.detail = ""
        elif kind is Kind.STEP_UP_FOR_RETRY:
            self.detail = "It was interrupted and is tried again."
        elif kind is Kind.STEP_SUCCESS and step in self.stages:
            self.done.add(step)
            self.shares[step], self.detail = 1.0, ""
        elif sentence := _failure(event):
            # The first cause counts; what comes after it only follows from it.
            self.failure = self.failure or sentence

    def _report(self, stage: str, line: Logged) -> None:
        self.detail = line.note or line.part
        if line.share is None:
            return
        share = line.share
        if stage == "gaussian_splats":
            if not line.part.startswith(TRAINING):
                return
            if line.part not in self._trained:
                self._trained.append(line.part)
            share = min(1.0, (self._trained.index(line.part) + share) / self.trainings)
        self.shares[stage] = max(share, self.shares.get(stage, 0.0))


def _failure(event: dg.DagsterEvent) -> str:
    """The sentence of an event that says why a run fails; "" for all others."""
    kind, data = event.event_type, event.event_specific_data
    if kind is Kind.ASSET_CHECK_EVALUATION:
        result = event.asset_check_evaluation_data
        blocks = not result.passed and result.severity is dg.AssetCheckSeverity.ERROR
        return (result.description or "") if blocks else ""
    if kind is Kind.STEP_FAILURE and data is not None:
        step = event.step_failure_data
        if step.user_failure_data and step.user_failure_data.description:
            return step.user_failure_data.description
        return UNEXPLAINED
    if kind is Kind.RUN_FAILURE:
        reason = event.message or ""
        return reason if reason and not reason.startswith("Execution of run") else UNEXPLAINED
    return ""


def pipeline_config(run: dg.DagsterRun) -> Mapping[str, Any]:
    """What a run was told of the resource `pipeline`; empty when nothing."""
    found: Any = run.run_config
    for name in ("resources", "pipeline", "config"):
        found = found.get(name, {}) if isinstance(found, Mapping) else {}
    return found if isinstance(found, Mapping) else {}
