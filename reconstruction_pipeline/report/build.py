"""The report's entry: artifacts in, `report.html`, `metrics.json` and `thumbnail.jpg` out."""

from __future__ import annotations

import json
import resource
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from reconstruction_pipeline.artifacts import SceneReport
from reconstruction_pipeline.artifacts.progress import Progress
from reconstruction_pipeline.report.cover import cover_of
from reconstruction_pipeline.report.inputs import ReportInputs
from reconstruction_pipeline.report.metrics import metrics_document
from reconstruction_pipeline.report.outcome import outcome_of
from reconstruction_pipeline.report.page import SECTIONS, render_page
from reconstruction_pipeline.report.pictures import save


def build_report(inputs: ReportInputs, workspace: Path, progress: Progress) -> SceneReport:
    """Write `report.html`, `metrics.json` and, where there is any picture, `thumbnail.jpg` into `workspace`.

    Works for a finished scene and for a line that was stopped anywhere: what is missing is said, never an exception.
    Nothing of the source's location or device goes in; pictures are re-encoded without what lies beside the pixels.
    """
    started, made_at = time.perf_counter(), datetime.now(UTC)
    outcome = outcome_of(inputs)
    workspace.mkdir(parents=True, exist_ok=True)
    cover = cover_of(inputs)
    written = ["report.html", "metrics.json"]
    if cover is not None:
        save(cover, workspace / "thumbnail.jpg")
        written.append("thumbnail.jpg")
    document = metrics_document(inputs, outcome, made_at, written)
    numbers = json.dumps(document, indent=2, allow_nan=False, ensure_ascii=False)
    (workspace / "metrics.json").write_text(numbers + "\n", encoding="utf-8")
    page = render_page(inputs, outcome, progress, made_at, cover)
    (workspace / "report.html").write_text(page, encoding="utf-8")
    progress.report("scene_report", len(SECTIONS), len(SECTIONS), f"grade {outcome.grade}")
    metrics = {
        "grade": outcome.grade,
        "warnings": len(outcome.warnings),
        "report_bytes": (workspace / "report.html").stat().st_size,
        "seconds": round(time.perf_counter() - started, 3),
        "peak_rss_mb": round(_peak_rss_mb(), 1),
        "backend": "jinja2",
        "fallback_level": 0,
    }
    return SceneReport(workspace, metrics)


def _peak_rss_mb() -> float:
    """Peak memory of this process; Linux counts in kB, macOS in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10
