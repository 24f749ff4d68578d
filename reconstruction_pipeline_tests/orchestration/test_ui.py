"""Dagster's UI on a line that the command line made: what it shows, and what can be done from it.

The line is canned; the server, its daemon, the runs started from it and the browser are real.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from reconstruction_pipeline.artifacts import Gate, Verdict
from reconstruction_pipeline.orchestration import gates, pipeline
from reconstruction_pipeline.orchestration.catalog import Catalog, Entry
from reconstruction_pipeline.orchestration.io_manager import open_store
from reconstruction_pipeline.orchestration.local_run import run_job
from reconstruction_pipeline.orchestration.names import JOB, STAGES, VIDEOS
from reconstruction_pipeline.settings import load_settings, use_dagster_home
from reconstruction_pipeline.stages.ingest import content_sha256, ingest
from reconstruction_pipeline_tests.orchestration.canned import CannedStages
from reconstruction_pipeline_tests.orchestration.ui_pages import show_plots
from reconstruction_pipeline_tests.orchestration.ui_server import LOCATION, UiServer, running_ui
from reconstruction_pipeline_tests.stages.captures import sliding_frames, write_video

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
KEY = "walk"
PARTITION_TAG = {"key": "dagster/partition", "value": KEY}
OTHERS = [f"walk-{number}" for number in range(2, 10)]
"""Videos of which only the training was ever reported, so that its figures plot over more than one."""

pytestmark = [pytest.mark.daemon, pytest.mark.timeout(600)]

LAUNCHED = "{ __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } }"


@dataclass(frozen=True)
class Shown:
    """A server, the run that the command line made, and its video's hash."""

    server: UiServer
    run_id: str
    sha256: str


@pytest.fixture(scope="module")
def ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    root = tmp_path_factory.mktemp("ui")
    video = write_video(root / "walk.mp4", sliding_frames(48))
    stages = CannedStages()
    stages.verdicts["gaussian_splats"] = Verdict.of(
        [
            Gate("psnr_holdout", True, "block", "Held-out views reach 26.1 dB.", 26.1, 18.0),
            Gate("psnr_holdout_good", False, "warn", "26.1 dB is under 28 dB.", 26.1, 28.0, "Film slower."),
        ]
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECONSTRUCTION_STORAGE", str(root / "storage"))
        patch.setenv("RECONSTRUCTION_UPLOADS", str(root / "uploads"))
        patch.setenv("RECONSTRUCTION_SCRATCH", str(root / "scratch"))
        patch.setenv("DAGSTER_HOME", str(root / "home"))
        patch.setenv("DAGSTER_DISABLE_TELEMETRY", "1")
        patch.delenv("PYTHONWARNINGS", raising=False)
        use_dagster_home(load_settings())
        Catalog(str(root / "storage")).register(Entry(KEY, str(video)))
        with patch.context() as canned, dg.DagsterInstance.get() as instance:
            canned.setattr(pipeline, "run_stage_process", stages)
            made = run_job(instance, KEY, {"preset": "fastest"})
            instance.add_dynamic_partitions(VIDEOS, OTHERS)
            for number, other in enumerate(OTHERS):
                figures = {"psnr_holdout_db": 27.0 + number % 4, "count": 20_000 + 1500 * number}
                event = dg.AssetMaterialization("gaussian_splats", partition=other, metadata=figures)
                instance.report_runless_asset_event(event)
            open_store().publish(KEY, ingest(video, open_store().workspace("source_video", KEY)))  # for real stages
        assert made.success
        with running_ui(root / "ui.log", dict(os.environ)) as server:
            yield Shown(server, made.run_id, content_sha256(video))


def asset(ui: Shown, name: str, fields: str) -> Any:
    query = f"query($key: AssetKeyInput!) {{ assetNodeOrError(assetKey: $key) {{ ... on AssetNode {{ {fields} }} }} }}"
    return ui.server.graphql(query, key={"path": [name]})["assetNodeOrError"]


def latest(ui: Shown, name: str) -> tuple[str, dict[str, Any]]:
    """Run and metadata of an asset's last materialization for the video."""
    entries = (
        "metadataEntries { label ... on FloatMetadataEntry { floatValue } ... on IntMetadataEntry { intValue }"
        " ... on TextMetadataEntry { text } ... on MarkdownMetadataEntry { mdStr } }"
    )
    found = asset(ui, name, f'assetMaterializations(partitions: ["{KEY}"], limit: 1) {{ runId {entries} }}')
    (event,) = found["assetMaterializations"]
    values = {entry.pop("label"): next(iter(entry.values()), None) for entry in event["metadataEntries"]}
    return event["runId"], values


def test_the_code_location_shows_job_sensor_and_assets(ui: Shown) -> None:
    query = (
        "query($at: RepositorySelector!) { repositoryOrError(repositorySelector: $at) { ... on Repository {"
        " jobs { name } sensors { name sensorState { status } }"
        " assetNodes { assetKey { path } description partitionStats { numMaterialized numFailed } } } } }"
    )
    found = ui.server.graphql(query, at=LOCATION)["repositoryOrError"]
    assert JOB in [job["name"] for job in found["jobs"]]
    sensors = {sensor["name"]: sensor["sensorState"]["status"] for sensor in found["sensors"]}
    assert sensors == {
        "video_uploads": "STOPPED",
        "alerts": "RUNNING",
        "lost_runs": "RUNNING",
        "repropagate": "STOPPED",
    }
    nodes = {node["assetKey"]["path"][-1]: node for node in found["assetNodes"]}
    assert set(nodes) == {*STAGES, "quality_summary"}
    for name, node in nodes.items():
        made = 1 + len(OTHERS) if name == "gaussian_splats" else 1
        assert name == "quality_summary" or node["partitionStats"] == {"numMaterialized": made, "numFailed": 0}
        assert node["description"]


def test_numbers_checks_and_pictures_of_the_video(ui: Shown) -> None:
    run_id, numbers = latest(ui, "gaussian_splats")
    assert run_id == ui.run_id
    assert numbers["psnr_holdout_db"] == pytest.approx(26.1, abs=1e-4)
    assert numbers["count"] == 30_000
    assert numbers["device"] == "cpu"
    assert numbers["preview"].startswith("![preview](data:image/jpeg;base64,")
    evaluation = "executionForLatestMaterialization { evaluation { success partition description } }"
    fields = f"assetChecksOrError {{ ... on AssetChecks {{ checks {{ name blocking {evaluation} }} }} }}"
    checks = {check["name"]: check for check in asset(ui, "gaussian_splats", fields)["assetChecksOrError"]["checks"]}
    assert {name: check["blocking"] for name, check in checks.items()} == {
        name: severity == "block" for name, severity in gates.GAUSSIAN_SPLATS
    }
    result = checks["psnr_holdout_good"]["executionForLatestMaterialization"]["evaluation"]
    assert result == {"success": False, "partition": KEY, "description": "26.1 dB is under 28 dB. Film slower."}
    assert checks["psnr_holdout"]["executionForLatestMaterialization"]["evaluation"]["success"]


def launch(ui: Shown, mutation: str, selection: dict[str, Any], **more: Any) -> str:
    """Start a run as the UI's buttons do; its id."""
    params = {"selector": {**LOCATION, **selection}, "mode": "default", **more}
    query = f"mutation($params: ExecutionParams!) {{ {mutation}(executionParams: $params) {LAUNCHED} }}"
    answer = ui.server.graphql(query, params=params)[mutation]
    assert answer["__typename"] == "LaunchRunSuccess", answer
    run_id: str = answer["run"]["runId"]
    return run_id


def test_a_run_of_the_command_line_is_re_executed(ui: Shown) -> None:
    """Its first step, really: a run worker copies the real video in place of the canned one."""
    query = "query($id: ID!) { runOrError(runId: $id) { ... on Run { runConfigYaml hasReExecutePermission } } }"
    parent = ui.server.graphql(query, id=ui.run_id)["runOrError"]
    assert parent["hasReExecutePermission"]
    run_id = launch(
        ui,
        "launchPipelineReexecution",
        {"jobName": JOB},
        runConfigData=parent["runConfigYaml"],
        stepKeys=["source_video"],
        executionMetadata={"parentRunId": ui.run_id, "rootRunId": ui.run_id, "tags": [PARTITION_TAG]},
    )
    assert ui.server.wait_for_run(run_id) == "SUCCESS"
    made_by, numbers = latest(ui, "source_video")
    assert made_by == run_id
    assert (numbers["sha256"], numbers["width"], numbers["frames"]) == (ui.sha256, 320, 48)


def test_one_stage_is_materialized_alone(ui: Shown) -> None:
    """Keyframes of the stored video by the process executor; what lies before them stays as it is."""
    before = open_store().current_version("source_video", KEY)
    run_id = launch(
        ui,
        "launchPipelineExecution",
        {"jobName": "__ASSET_JOB", "assetSelection": [{"path": ["keyframes"]}]},
        runConfigData={},
        executionMetadata={"tags": [PARTITION_TAG]},
    )
    assert ui.server.wait_for_run(run_id) == "SUCCESS"
    made_by, numbers = latest(ui, "keyframes")
    assert made_by == run_id
    assert numbers["frames_decoded"] == 48
    assert open_store().current_version("source_video", KEY) == before
    assert open_store().manifest("keyframes", KEY).provenance.inputs == {"source_video": before}


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine (apt-get install chromium)")
def test_a_browser_shows_lineage_numbers_checks_and_pictures(ui: Shown, tmp_path: Path) -> None:
    from playwright.sync_api import expect, sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        )
        try:
            page = browser.new_page(viewport={"width": 1500, "height": 950})
            page.set_default_timeout(60_000)
            expect.set_options(timeout=60_000)
            errors: list[str] = []
            page.on("pageerror", lambda error: errors.append(str(error)))

            page.goto(f"{ui.server.url}/locations/reconstruction_pipeline/asset-groups/reconstruction/lineage")
            for name in STAGES:
                expect(page.get_by_text(name, exact=True).first).to_be_visible()
            page.screenshot(path=tmp_path / "lineage.png")
            assert "Join the Dagster community" not in page.inner_text("body")

            page.goto(f"{ui.server.url}/assets/gaussian_splats?view=partitions&partition={KEY}")
            for text in ("psnr_holdout_db", "26.1", "30000", "ssim_holdout", "Materialized"):
                expect(page.get_by_text(text).first).to_be_visible()
            page.get_by_text("[Show Markdown]").first.click()
            picture = page.get_by_role("dialog").locator("img")
            expect(picture).to_be_visible()
            page.wait_for_function("img => img.naturalWidth == 320", arg=picture.element_handle())
            page.screenshot(path=tmp_path / "asset.png")

            show_plots(page, ui.server, "gaussian_splats", "psnr_holdout_db")
            page.screenshot(path=tmp_path / "plots.png")

            page.goto(f"{ui.server.url}/assets/gaussian_splats?view=checks")
            for name, _ in gates.GAUSSIAN_SPLATS:
                expect(page.get_by_text(name, exact=True).first).to_be_visible()
            page.get_by_text("psnr_holdout_good", exact=True).first.click()
            expect(page.get_by_text("26.1 dB is under 28 dB. Film slower.").first).to_be_visible()
            page.screenshot(path=tmp_path / "checks.png")
            assert errors == []
        finally:
            browser.close()


def test_the_log_has_no_noise(ui: Shown) -> None:
    log = ui.server.log.read_text()
    assert "Serving dagster-webserver" in log
    assert "Warning" not in log
