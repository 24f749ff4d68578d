"""The report's entry: artifacts in, `report.html` and `metrics.json` out."""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

from reconstruction_pipeline.artifacts import SceneReport
from reconstruction_pipeline.artifacts.progress import Progress
from reconstruction_pipeline.report.inputs import ReportInputs
from reconstruction_pipeline.report.metrics import metrics_document
from reconstruction_pipeline.report.outcome import outcome_of
from reconstruction_pipeline.report.page import SECTIONS, render_page


def build_report(inputs: ReportInputs, workspace: Path, progress: Progress) -> SceneReport:
    """Write `report.html` and `metrics.json` into `workspace`.

    Works for a finished scene and for a line that was stopped anywhere: what is missing is said, never an exception.
    Nothing of the source's location or device goes in; pictures are re-encoded without what lies beside the pixels.
    """
    started = time.perf_counter()
    outcome = outcome_of(inputs)
    workspace.mkdir(parents=True, exist_ok=True)
    numbers = json.dumps(metrics_document(inputs, outcome), indent=2, allow_nan=False, ensure_ascii=False)
    (workspace / "metrics.json").write_text(numbers + "\n", encoding="utf-8")
    page = render_page(inputs, outcome, progress)
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
