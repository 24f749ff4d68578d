from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import sqlalchemy.event
from sqlalchemy.engine import Engine

from reconstruction_pipeline.orchestration import pipeline
from reconstruction_pipeline.settings import load_settings, use_dagster_home
from reconstruction_pipeline_tests.orchestration.canned import CannedStages, Line


@pytest.fixture(autouse=True, scope="session")
def instances_need_not_survive_a_power_cut() -> Iterator[None]:
    """Dagster commits every event; waiting for the disk each time would be most of these tests' time."""

    def relax(connection: Any, _: object) -> None:
        if type(connection).__module__.startswith("sqlite3"):
            connection.execute("PRAGMA synchronous=OFF")

    sqlalchemy.event.listen(Engine, "connect", relax)
    yield
    sqlalchemy.event.remove(Engine, "connect", relax)


@pytest.fixture
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A storage root, upload folder and Dagster home of this test's own, in the environment."""
    root = tmp_path / "storage"
    monkeypatch.setenv("RECONSTRUCTION_STORAGE", str(root))
    monkeypatch.setenv("RECONSTRUCTION_UPLOADS", str(tmp_path / "uploads"))
    monkeypatch.setenv("RECONSTRUCTION_SCRATCH", str(tmp_path / "scratch"))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DAGSTER_DISABLE_TELEMETRY", "1")
    return root


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch) -> CannedStages:
    """Replaces every stage by a canned one."""
    canned = CannedStages()
    monkeypatch.setattr(pipeline, "run_stage_process", canned)
    return canned


@pytest.fixture
def line(tmp_path: Path, storage: Path, stages: CannedStages) -> Iterator[Line]:
    """A registered video whose stages are canned, on an instance in memory."""
    with dg.DagsterInstance.ephemeral() as instance:
        made = Line(instance, storage, stages)
        made.register(tmp_path / "walk.mp4")
        yield made


@pytest.fixture
def home(storage: Path) -> Iterator[dg.DagsterInstance]:
    """The instance on disk that `reconstruct` would use, with the project's own `dagster.yaml`."""
    use_dagster_home(load_settings())
    with dg.DagsterInstance.get() as instance:
        yield instance
