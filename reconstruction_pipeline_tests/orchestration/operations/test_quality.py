"""The weekly summary over lines that finished, stopped, or never got as far as a report."""

from __future__ import annotations

import base64
import csv
import io
import json
from pathlib import Path

import dagster as dg
import pytest
from PIL import Image

from reconstruction_pipeline.artifacts import Gate, Verdict
from reconstruction_pipeline.definitions import defs
from reconstruction_pipeline.orchestration.catalog import Catalog, Entry
from reconstruction_pipeline_tests.orchestration.canned import Line

BLURRED = Verdict.of([Gate("registered", False, "block", "2 of 30 images were placed.", 0.07, 0.5, "Film slower.")])


@pytest.fixture
def summary(line: Line, tmp_path: Path) -> dict[str, object]:
    assert line.run().success
    (report,) = line.storage.glob("scene_report/walk/*/metrics.json")
    document = json.loads(report.read_text())
    document["gaussian_splats"]["seconds"] = 90.0  # the stand-ins of the stages take no time
    report.write_text(json.dumps(document))
    line.key = "hall"
    line.register(tmp_path / "hall.mp4")
    line.stages.verdicts["estimate_poses"] = BLURRED
    line.run()
    Catalog(str(line.storage)).register(Entry("queued", "/in/queued.mp4"))
    result = defs.get_repository_def().get_job("summarise_quality").execute_in_process(instance=line.instance)
    (event,) = result.asset_materializations_for_node("quality_summary")
    return {name: value.value for name, value in event.metadata.items()}


def test_numbers_table_and_picture(summary: dict[str, object], storage: Path) -> None:
    assert (summary["scenes"], summary["scenes_without_report"], summary["grade_f"]) == (3, 1, 1)
    assert summary["share_finished"] == 0.5
    assert summary["median_psnr_holdout_db"] == pytest.approx(26.1, abs=1e-4)
    assert summary["failed_gates"]["camera_poses.registered"] == 1  # type: ignore[index]

    (folder,) = (storage / "quality_summary").iterdir()
    rows = list(csv.DictReader(io.StringIO((folder / "scenes.csv").read_text())))
    assert [row["key"] for row in rows] == ["hall", "walk"]  # the worst first
    assert (rows[0]["grade"], rows[0]["psnr_holdout_db"]) == ("F", "")
    assert float(rows[1]["minutes"]) == pytest.approx(1.5, abs=0.1)
    assert json.loads((folder / "summary.json").read_text())["scenes"] == 3

    embedded = base64.b64decode(str(summary["plots"]).split("base64,")[1].rstrip(")"))
    assert embedded == (folder / "summary.png").read_bytes()
    assert len(embedded) < 60_000
    assert Image.open(io.BytesIO(embedded)).size == (1200, 360)


def test_a_summary_of_nothing_is_empty_and_not_an_error(storage: Path) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        result = defs.get_repository_def().get_job("summarise_quality").execute_in_process(instance=instance)
    (event,) = result.asset_materializations_for_node("quality_summary")
    assert event.metadata["scenes"].value == 0
    assert "median_psnr_holdout_db" not in event.metadata


def test_it_is_made_every_week() -> None:
    schedule = defs.get_repository_def().get_schedule_def("quality_weekly")
    assert schedule.cron_schedule == "0 6 * * 1"
    with dg.DagsterInstance.ephemeral() as instance, dg.build_schedule_context(instance) as context:
        requests = schedule.evaluate_tick(context).run_requests
    assert requests and len(requests) == 1
