"""A thousand finished videos in Dagster's UI, and what a step costs over its stage. For `make soak`."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from reconstruction_pipeline.orchestration.names import STAGES, VIDEOS
from reconstruction_pipeline.settings import load_settings, use_dagster_home
from reconstruction_pipeline_tests.chromium import chromium, needs_chromium
from reconstruction_pipeline_tests.orchestration.site.deployment import check_whole
from reconstruction_pipeline_tests.orchestration.ui_server import running_ui

pytestmark = [pytest.mark.soak, pytest.mark.daemon, pytest.mark.timeout(900)]
COUNT = 1000
NAMES = [f"video-{number:04d}" for number in range(COUNT)]
SHOWN_SECONDS = 10.0


@pytest.fixture
def thousand(storage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dg.DagsterInstance:
    """A thousand partitions of the capture and of the trained scene, with numbers to plot, as runs leave them."""
    monkeypatch.delenv("PYTHONWARNINGS", raising=False)
    use_dagster_home(load_settings())
    with dg.DagsterInstance.get() as instance:
        instance.add_dynamic_partitions(VIDEOS, NAMES)
        for number, key in enumerate(NAMES):
            for stage in ("source_video", "gaussian_splats"):
                numbers: dict[str, Any] = {"seconds": number / 7, "psnr_holdout_db": 20 + number % 11}
                instance.report_runless_asset_event(dg.AssetMaterialization(stage, partition=key, metadata=numbers))
        yield instance


class TestInABrowser:
    pytestmark = needs_chromium

    def test_the_list_of_a_thousand_partitions_is_there_in_ten_seconds(
        self, thousand: dg.DagsterInstance, tmp_path: Path, record_property: Any
    ) -> None:
        took = {}
        with running_ui(tmp_path / "ui.log", dict(os.environ)) as server, chromium() as browser:
            for name in ("first visit", "second visit"):
                page = browser.new_page(viewport={"width": 1500, "height": 950})
                began = time.monotonic()
                page.goto(f"{server.url}/assets/gaussian_splats?view=partitions")
                page.get_by_text(NAMES[3], exact=True).first.wait_for(timeout=60_000)
                took[name] = round(time.monotonic() - began, 2)
                page.screenshot(path=tmp_path / "partitions.png")
                page.close()
        print(took)
        record_property("seconds", took)
        assert max(took.values()) <= SHOWN_SECONDS, took


def test_a_step_costs_at_most_three_seconds_more_than_its_stage(storage: Path, tmp_path: Path) -> None:
    """Of processor time, which other work on the machine does not change; and all steps are made, whole."""
    steering = tmp_path / "stand_ins"
    steering.mkdir()
    environment = {**os.environ, "STAND_INS": str(steering)}
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-m", "reconstruction_pipeline_tests.orchestration.site.one_run", str(tmp_path)],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    took, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    from reconstruction_pipeline_tests.orchestration.site.deployment import ArtifactStore

    store = ArtifactStore(storage, tmp_path / "reader")
    assert all(check_whole(store, stage, "walk") for stage in STAGES)
    notes = map(json.loads, (steering / "stages.jsonl").read_text().splitlines())
    own = [row["cpu"] for row in notes if row["what"] == "ended"]
    assert len(own) == len(STAGES)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    each = (cpu - sum(own)) / len(STAGES)
    print(f"a step: {each:.2f} s of processor time over its stage; the run of {len(STAGES)} steps: {took:.1f} s wall")
    assert each <= 3.0
