"""Uploads with the real daemon and real stages, without a click: two scenes and one explained refusal; then a backfill.

Minutes of training, so for `make soak`.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from reconstruction_pipeline.orchestration.refusals import Refusals
from reconstruction_pipeline.settings import load_settings, use_dagster_home
from reconstruction_pipeline_tests.orchestration.ui_server import LOCATION, UiServer, running_ui
from reconstruction_pipeline_tests.stages.captures import RoomCorner, write_video

pytestmark = [pytest.mark.daemon, pytest.mark.soak, pytest.mark.timeout(1800)]
RUNS = "query($filter: RunsFilter) { runsOrError(filter: $filter) { ... on Runs { results { status } } } }"
PARTITIONS = """query($key: AssetKeyInput!) {
  assetNodeOrError(assetKey: $key) { ... on AssetNode { assetMaterializations { partition } } }
}"""
START = """mutation($at: SensorSelector!) {
  startSensor(sensorSelector: $at) { __typename ... on PythonError { message } }
}"""
BACKFILL = """mutation($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) { ... on LaunchBackfillSuccess { backfillId } }
}"""


def corner(path: Path, turn: float) -> Path:
    room = RoomCorner(320, 240, 270.0)
    return write_video(path, [room.render(*room.camera(angle)) for angle in np.linspace(-0.5, turn, 45)])


def wait_for(what: Callable[[], bool], seconds: float, log: Path) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, log.read_text()[-4000:]
        time.sleep(2)


def partitions(server: UiServer, asset: str) -> set[str]:
    found = server.graphql(PARTITIONS, key={"path": [asset]})["assetNodeOrError"]["assetMaterializations"]
    return {event["partition"] for event in found}


def test_three_uploads_become_two_scenes_and_one_refusal_and_a_backfill_runs_one_stage_for_both(
    storage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONWARNINGS", raising=False)
    videos = [corner(tmp_path / f"{i}.mp4", 0.5 + i / 50) for i in range(2)]
    use_dagster_home(load_settings())
    uploads = tmp_path / "uploads"
    uploads.mkdir()
    with running_ui(tmp_path / "ui.log", dict(os.environ)) as server:
        log = server.log
        selector = {**LOCATION, "sensorName": "video_uploads"}
        assert server.graphql(START, at=selector)["startSensor"]["__typename"] == "Sensor"
        (uploads / "whole.mp4").write_bytes(videos[0].read_bytes())
        (uploads / "bad.mp4").write_bytes(b"this is no video" * 1000)
        body = videos[1].read_bytes()
        growing = uploads / "growing.mp4"
        for share in np.linspace(0.2, 1.0, 9):  # for longer than two ticks of the sensor
            growing.write_bytes(body[: int(len(body) * share)])
            assert "growing" not in partitions(server, "source_video")
            time.sleep(8)
        wait_for(lambda: partitions(server, "scene_report") == {"whole", "growing"}, 1200, log)
        for key in ("whole", "growing"):
            metrics = json.loads((storage / "deliverables" / key / "metrics.json").read_text())
            assert metrics["failed"] is None and metrics["grade"] != "F", metrics
        (refusal,) = Refusals(str(storage)).all()
        assert refusal.name == "bad.mp4" and "not a readable video" in refusal.sentence
        _backfill(server, "compressed_splats", ["whole", "growing"])


def _backfill(server: UiServer, asset: str, keys: list[str]) -> None:
    """Run one stage for several videos as the UI's dialog does; each video is a run."""
    answer = server.graphql(BACKFILL, params={"assetSelection": [{"path": [asset]}], "partitionNames": keys})
    tag = {"key": "dagster/backfill", "value": answer["launchPartitionBackfill"]["backfillId"]}

    def runs() -> list[dict[str, object]]:
        found: list[dict[str, object]] = server.graphql(RUNS, filter={"tags": [tag]})["runsOrError"]["results"]
        return found

    wait_for(lambda: [run["status"] for run in runs()] == ["SUCCESS"] * len(keys), 600, server.log)
