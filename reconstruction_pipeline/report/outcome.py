"""How the line ended: what stopped it, what warned, and the grade that follows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from reconstruction_pipeline.report.grade import A_PSNR_DB, B_MAX_WARNINGS, B_PSNR_DB, C_PSNR_DB, grade_of
from reconstruction_pipeline.report.inputs import ESSENTIAL, STAGES, ReportInputs
from reconstruction_pipeline.report.plain import number_of
from reconstruction_pipeline.report.words import listed


@dataclass(frozen=True)
class Finding:
    """Something a stage has to say: one sentence, and what to film or change."""

    stage: str
    sentence: str
    advice: str = ""
    log_tail: str = ""

    @property
    def title(self) -> str:
        """The stage's name for people."""
        return STAGES.get(self.stage, self.stage.replace("_", " ").capitalize())


@dataclass(frozen=True)
class Outcome:
    """How it ended.

    `failed`: the first cause of a stop, or a stage without a result. `blocked`: a blocking gate failed or there is
    no scene. `went_on`: later stages ran all the same, because failed gates were accepted.
    """

    grade: str
    blocked: bool
    went_on: bool
    failed: Finding | None
    warnings: tuple[Finding, ...]
    reasons: tuple[str, ...]


def outcome_of(inputs: ReportInputs) -> Outcome:
    """Judge the inputs; never raises for a missing artifact."""
    stops = list(_stops(inputs))
    blocked = bool(stops)
    lesser = [_of_failure(inputs, stage) for stage in STAGES if stage in inputs.failures and stage not in ESSENTIAL]
    if not stops and "gaussian_splats" not in inputs.artifacts:
        blocked = True
        stops = lesser[:1] or [_end_of_line(inputs)]
    warnings = tuple(_warnings(inputs)) + (() if blocked else tuple(lesser) + tuple(_missing(inputs)))
    splats = inputs.artifacts.get("gaussian_splats")
    psnr = number_of(splats.metrics.get("psnr_holdout_db")) if splats else None
    levels = {
        stage: inputs.artifacts[stage].metrics.get("fallback_level")
        for stage in STAGES
        if stage in inputs.artifacts and stage != "source_video"
    }
    grade = grade_of(blocked=blocked, psnr_holdout_db=psnr, warnings=len(warnings), fallback_levels=levels.values())
    failed = next(iter(stops or lesser), None)
    reasons = () if blocked else tuple(_reasons(psnr, len(warnings), levels))
    went_on = bool(blocked and failed and any(s in inputs.artifacts for s in _after(failed.stage)))
    return Outcome(grade, blocked, went_on, failed, warnings, reasons)


def _stops(inputs: ReportInputs) -> Iterator[Finding]:
    """What stopped the line, in its order; a later stage's refusal of its input comes after the cause."""
    for stage in STAGES:
        artifact = inputs.artifacts.get(stage)
        if artifact is not None and artifact.verdict.blocking:
            gates = artifact.verdict.blocking
            yield Finding(stage, " ".join(g.message for g in gates), " ".join(dict.fromkeys(g.advice for g in gates)))
        if stage in inputs.failures and stage in ESSENTIAL:
            yield _of_failure(inputs, stage)


def _after(stage: str) -> list[str]:
    """The stages after one; none after a stage that is not of the line."""
    stages = list(STAGES)
    return stages[stages.index(stage) + 1 :] if stage in stages else []


def _of_failure(inputs: ReportInputs, stage: str) -> Finding:
    failure = inputs.failures[stage]
    return Finding(stage, failure.sentence, failure.advice, failure.log_tail)


def _end_of_line(inputs: ReportInputs) -> Finding:
    stage = next(stage for stage in STAGES if stage not in inputs.artifacts)
    return Finding(stage, f"The line ended before the stage {stage}, and no cause was recorded.", "Run it again.")


def _warnings(inputs: ReportInputs) -> Iterator[Finding]:
    for stage in STAGES:
        if stage in inputs.artifacts:
            for gate in inputs.artifacts[stage].verdict.warnings:
                yield Finding(stage, gate.message, gate.advice)


def _missing(inputs: ReportInputs) -> Iterator[Finding]:
    for stage in STAGES:
        if stage not in inputs.artifacts and stage not in inputs.failures:
            yield Finding(stage, f"The stage {stage} has not run, so its deliverables are missing.", "Run it.")


def _reasons(psnr: float | None, warnings: int, levels: dict[str, int | None]) -> Iterator[str]:
    """What keeps the scene from the best grade, in words."""
    if psnr is None:
        yield "the held-out quality was not measured"
    elif psnr < A_PSNR_DB:
        bound = next(b for b in (C_PSNR_DB, B_PSNR_DB, A_PSNR_DB) if psnr < b)
        yield f"the held-out PSNR of {psnr:.1f} dB is below {bound:.0f} dB"
    if warnings:
        limit = f", more than {B_MAX_WARNINGS}" if warnings > B_MAX_WARNINGS else ""
        yield f"there {'is one warning' if warnings == 1 else f'are {warnings} warnings{limit}'}"
    if fallen := [STAGES[stage].lower() for stage, level in levels.items() if level]:
        yield f"{listed(fallen)} fell back from the first choice of method"
    if unsaid := [STAGES[stage].lower() for stage, level in levels.items() if level is None]:
        yield f"{listed(unsaid)} did not record which method ran"
