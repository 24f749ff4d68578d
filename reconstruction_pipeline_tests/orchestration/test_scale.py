"""A thousand videos: how long a sensor's tick, loading the definitions and a summary take. For `make soak`."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import dagster as dg
import pytest

from reconstruction_pipeline.orchestration.catalog import Catalog, Entry
from reconstruction_pipeline.orchestration.io_manager import open_store
from reconstruction_pipeline.orchestration.names import VIDEOS
from reconstruction_pipeline.orchestration.operations.quality import scene_rows
from reconstruction_pipeline.orchestration.operations.retention import deletions
from reconstruction_pipeline.orchestration.sensors import video_uploads
from reconstruction_pipeline.orchestration.upload_memory import Memory
from reconstruction_pipeline.orchestration.uploads import find_uploads

pytestmark = pytest.mark.soak
COUNT = 1000
VERSION = "20300101T000000000000-abcdef"


@pytest.fixture
def many(storage: Path, tmp_path: Path, home: dg.DagsterInstance) -> dg.DagsterInstance:
    """A thousand registered, reported videos whose files lie in the upload folder."""
    uploads, catalog = tmp_path / "uploads", Catalog(str(storage))
    uploads.mkdir()
    report = {"grade": "A", "preset": "balanced", "warnings": [], "gates": [], "failed": None}
    for number in range(COUNT):
        key = f"video-{number:04d}"
        path = uploads / f"{key}.mp4"
        path.write_bytes(b"x")
        catalog.register(Entry(key, str(path), f"{number:064d}", "uploads"))
        folder = storage / "scene_report" / key
        (folder / VERSION).mkdir(parents=True)
        (folder / VERSION / "metrics.json").write_text(json.dumps(report))
        (folder / "current.json").write_text(json.dumps({"version": VERSION}))
    home.add_dynamic_partitions(VIDEOS, [f"video-{number:04d}" for number in range(COUNT)])
    return home


def test_a_tick_over_a_thousand_known_uploads_is_short(many: dg.DagsterInstance, tmp_path: Path) -> None:
    uploads = find_uploads(str(tmp_path / "uploads"))
    assert len(uploads) == COUNT
    memory = Memory()
    for upload in uploads:
        memory.seen[upload.name] = (upload.fingerprint, 0.0)
        memory.dealt_with(upload)
    with dg.build_sensor_context(many, memory.dumps()) as context:
        began = time.monotonic()
        result = video_uploads(context)
        assert time.monotonic() - began < 5
    assert isinstance(result, dg.SensorResult) and not result.run_requests


def test_a_summary_and_a_retention_report_of_a_thousand_are_short(many: dg.DagsterInstance, storage: Path) -> None:
    from datetime import UTC, datetime, timedelta

    began = time.monotonic()
    rows = list(scene_rows(open_store(), Catalog(str(storage)).keys()))
    assert len(rows) == COUNT and time.monotonic() - began < 10
    began = time.monotonic()
    day = timedelta(days=1)
    assert list(deletions(open_store(), datetime.now(UTC), 3, day, day, set())) == []
    assert time.monotonic() - began < 10


def test_the_definitions_load_in_three_seconds_of_processor_time() -> None:
    code = "import time; import reconstruction_pipeline.definitions; print(time.process_time())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 3
