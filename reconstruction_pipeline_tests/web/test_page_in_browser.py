"""The page in headless Chromium before the application in this process; its whole way is in `test_page_end_to_end`."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from reconstruction_pipeline.web.errors import Refused
from reconstruction_pipeline_tests.chromium import chromium, needs_chromium
from reconstruction_pipeline_tests.orchestration.ui_server import free_port
from reconstruction_pipeline_tests.web.conftest import HereLauncher, Served
from reconstruction_pipeline_tests.web.test_page_end_to_end import drop

pytestmark = needs_chromium


@pytest.fixture
def address(served: Served) -> Iterator[str]:
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(served.client.app, port=port, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join()


def test_a_capture_is_dropped_refused_canceled_and_deleted(
    served: Served, address: str, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served.launcher.hold = True
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 390, "height": 800})
        page.set_default_timeout(60_000)
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(address)
        drop(page, "holiday.mp4", b"no video" * 100)
        page.wait_for_selector(".problem:not(:empty)")
        assert page.inner_text(".problem").startswith("holiday.mp4: not a readable video")
        drop(page, "../../My walk.mp4", video.read_bytes())
        page.wait_for_selector("[data-name=my-walk] .state:has-text('Waits for its turn')")

        def refuse(self: HereLauncher, run_id: str) -> None:
            raise Refused(409, "Dagster cannot cancel it now.")

        with monkeypatch.context() as patch:
            patch.setattr(HereLauncher, "cancel", refuse)
            page.click("[data-name=my-walk] button:has-text('Cancel')")
            page.wait_for_selector("#wrong:not([hidden])")
        page.wait_for_timeout(2500)  # it stays to be read while the page goes on asking
        assert page.inner_text("#wrong") == "Dagster cannot cancel it now."
        page.click("[data-name=my-walk] button:has-text('Cancel')")
        page.wait_for_selector("[data-name=my-walk] .sentence:has-text('Canceled')")
        assert page.locator("#wrong").is_hidden()
        served.launcher.hold = False
        page.click("[data-name=my-walk] button:has-text('Delete')")
        page.click("#confirm-yes")
        page.wait_for_selector("[data-name=my-walk]", state="detached")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert errors == [] and served.kept() == []


def test_the_description_is_shown(served: Served, address: str) -> None:
    with chromium() as browser:
        page: Any = browser.new_page()
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"{address}/docs")
        page.wait_for_selector("details:has-text('POST /api/videos')")
        assert page.locator("details").count() > 15 and errors == []
