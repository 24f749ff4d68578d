"""`metrics.json`: the numbers of every stage, the grade and its causes."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from reconstruction_pipeline.artifacts import SourceVideo
from reconstruction_pipeline.report.downloads import sizes
from reconstruction_pipeline.report.inputs import STAGES, ReportInputs
from reconstruction_pipeline.report.outcome import Outcome
from reconstruction_pipeline.report.plain import plain

COMMON = ("seconds", "peak_rss_mb", "backend", "fallback_level")
# Of the source only what describes the pictures: a probe may hold places and devices.
SOURCE_FIELDS: tuple[str, ...] = ("kind", "codec", "container", "pixel_format", "transfer", "width", "height")
SOURCE_FIELDS += ("rotation_deg", "duration_s", "frames", "rate_hz", "bytes")


def metrics_document(
    inputs: ReportInputs, outcome: Outcome, made_at: datetime, written: Iterable[str] = ()
) -> dict[str, Any]:
    """The content of `metrics.json`; every stage is a key, null when it was not reached.

    `files` names what is delivered beside it with its bytes, null for the files that are `written` with the report.
    """
    failed = outcome.failed
    return {
        "key": inputs.key,
        "grade": outcome.grade,
        "warnings": [f"{w.stage}: {w.sentence}" for w in outcome.warnings],
        "failed": failed and {"stage": failed.stage, "sentence": failed.sentence, "advice": failed.advice},
        "source_sha256": source_facts(inputs).get("sha256"),
        "preset": inputs.preset,
        "made_at": made_at.isoformat(timespec="seconds"),
        "files": {**sizes(inputs), **dict.fromkeys(written)},
        "versions": {name: str(version) for name, version in inputs.versions.items()},
        "stages_reached": [stage for stage in STAGES if stage in inputs.artifacts],
        **{stage: _stage_object(inputs, stage) for stage in STAGES},
        "gates": gate_rows(inputs),
    }


def gate_rows(inputs: ReportInputs) -> list[dict[str, Any]]:
    """All gates in the order of the line, each with its `stage`."""
    reached = ((stage, inputs.artifacts[stage]) for stage in STAGES if stage in inputs.artifacts)
    return [plain({"stage": stage, **row}) for stage, artifact in reached for row in artifact.verdict.to_json()]


def source_facts(inputs: ReportInputs) -> dict[str, Any]:
    """The hash and the picture format of the source; empty when it was never stored."""
    source = inputs.artifacts.get("source_video")
    probe = source.probe() if isinstance(source, SourceVideo) and source.path("probe.json").is_file() else {}
    return plain({name: probe[name] for name in ("sha256", *SOURCE_FIELDS) if name in probe})


def _stage_object(inputs: ReportInputs, stage: str) -> dict[str, Any] | None:
    artifact = inputs.artifacts.get(stage)
    if artifact is None:
        return None
    metrics = dict(artifact.metrics)
    if stage == "source_video":
        facts = {name: value for name, value in source_facts(inputs).items() if name != "sha256"}
        metrics = {**facts, **{name: metrics[name] for name in (*COMMON, *SOURCE_FIELDS) if name in metrics}}
    return plain({**dict.fromkeys(COMMON), **metrics})
