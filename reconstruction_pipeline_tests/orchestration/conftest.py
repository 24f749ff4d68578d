from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from reconstruction_pipeline.orchestration import pipeline
from reconstruction_pipeline_tests.orchestration.canned import CannedStages, Line


@pytest.fixture
def line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    """A registered video whose stages are canned."""
    storage = tmp_path / "storage"
    monkeypatch.setenv("RECONSTRUCTION_STORAGE", str(storage))
    monkeypatch.setenv("RECONSTRUCTION_UPLOADS", str(tmp_path / "uploads"))
    stages = CannedStages()
    monkeypatch.setattr(pipeline, "run_stage_process", stages)
    (tmp_path / "home").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "home")) as instance:
        made = Line(instance, storage, stages)
        made.register(tmp_path / "walk.mp4")
        yield made
