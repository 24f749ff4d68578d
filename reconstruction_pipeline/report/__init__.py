"""What a person and a program read about a scene: `report.html`, `metrics.json` and the grade. Free of Dagster."""

from reconstruction_pipeline.artifacts.failure import StageFailure
from reconstruction_pipeline.report.build import build_report
from reconstruction_pipeline.report.grade import grade_of
from reconstruction_pipeline.report.inputs import ReportInputs

__all__ = ["ReportInputs", "StageFailure", "build_report", "grade_of"]
