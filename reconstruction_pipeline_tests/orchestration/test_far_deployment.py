"""Uploads without a click on PostgreSQL and an S3-compatible server, a backfill, and what a browser shows of it.

Dagster's side is real, stages are stand-ins; `test_uploads_end_to_end` has the real ones on local disks.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from reconstruction_pipeline.artifacts import Keyframes
from reconstruction_pipeline.orchestration.names import STAGES
from reconstruction_pipeline.orchestration.refusals import Refusals
from reconstruction_pipeline_tests.chromium import chromium, needs_chromium
from reconstruction_pipeline_tests.orchestration.faults.processes import count_of, runs_of, upload, wait_for_scenes
from reconstruction_pipeline_tests.orchestration.site.deployment import Site, deployment
from reconstruction_pipeline_tests.orchestration.site.servers import wait_until, why_no_postgres
from reconstruction_pipeline_tests.orchestration.ui_pages import show_plots
from reconstruction_pipeline_tests.stages.captures import sliding_frames, write_video

pytestmark = [
    pytest.mark.daemon,
    pytest.mark.soak,
    pytest.mark.timeout(2400),
    pytest.mark.skipif(bool(why_no_postgres()), reason=why_no_postgres() or "-"),
]
KEYS = ["whole", "growing"]
BACKFILL = """mutation($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) { ... on LaunchBackfillSuccess { backfillId } }
}"""
RUNS = "query($filter: RunsFilter) { runsOrError(filter: $filter) { ... on Runs { results { status } } } }"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Three uploads: one whole, one that grows and one that is no video; and the runs that come of them."""
    with deployment(tmp_path_factory.mktemp("far") / "site", postgres=True, bucket=True) as made:
        made.start_sensor("video_uploads")
        upload(made, "whole")
        (made.uploads / "bad.mp4").write_bytes(b"this is no video" * 1000)
        whole = write_video(made.root / "growing.mp4", sliding_frames(40, seed=5)).read_bytes()
        for share in np.linspace(0.15, 1.0, 12):
            (made.uploads / "growing.mp4").write_bytes(whole[: int(len(whole) * share)])
            assert not runs_of(made, "growing")
            time.sleep(4)
        wait_for_scenes(made, KEYS, 1500)
        yield made


def test_two_videos_become_partitions_and_the_bad_one_an_explained_refusal(site: Site) -> None:
    assert len(runs_of(site, *KEYS)) == len(KEYS)
    for key in KEYS:
        site.check_sound(key)
    (refusal,) = Refusals(site.storage).all()
    assert refusal.name == "bad.mp4" and "not a readable video" in refusal.sentence
    assert not runs_of(site, "bad")
    assert site.storage.startswith("s3://") and not (site.root / "storage").exists()
    assert site.store().load(Keyframes, "whole").folder.is_relative_to(site.root / "scratch_of_the_test")


def test_a_backfill_runs_one_stage_for_all(site: Site) -> None:
    before = {name: count_of(site, name) for name in ("compress_splats", "extract_mesh")}
    params = {"assetSelection": [{"path": ["compressed_splats"]}], "partitionNames": KEYS}
    answer = site.ui.graphql(BACKFILL, params=params)["launchPartitionBackfill"]
    tag = {"key": "dagster/backfill", "value": answer["backfillId"]}

    def statuses() -> list[str]:
        found = site.ui.graphql(RUNS, filter={"tags": [tag]})["runsOrError"]["results"]
        return [run["status"] for run in found]

    wait_until(lambda: statuses() == ["SUCCESS"] * len(KEYS), 900, lambda: f"{statuses()}\n{site.daemon.tail()}")
    assert count_of(site, "compress_splats") == before["compress_splats"] + len(KEYS)
    assert count_of(site, "extract_mesh") == before["extract_mesh"]


class TestInABrowser:
    pytestmark = needs_chromium

    def test_lineage_plots_over_partitions_and_a_preview_are_shown(self, site: Site, tmp_path: Path) -> None:
        from playwright.sync_api import expect

        expect.set_options(timeout=60_000)
        with chromium() as browser:
            page = browser.new_page(viewport={"width": 1500, "height": 950})
            page.set_default_timeout(60_000)
            page.goto(f"{site.ui.url}/locations/reconstruction_pipeline/asset-groups/reconstruction/lineage")
            for name in STAGES:
                expect(page.get_by_text(name, exact=True).first).to_be_visible()
            page.screenshot(path=tmp_path / "lineage.png")

            show_plots(page, site.ui, "gaussian_splats", "psnr_holdout_db")
            page.screenshot(path=tmp_path / "plots.png")

            page.goto(f"{site.ui.url}/assets/gaussian_splats?view=partitions&partition={KEYS[0]}")
            page.get_by_text("[Show Markdown]").first.click()
            picture = page.get_by_role("dialog").locator("img")
            expect(picture).to_be_visible()
            page.wait_for_function("img => img.naturalWidth == 320", arg=picture.element_handle())
            page.screenshot(path=tmp_path / "preview.png")
