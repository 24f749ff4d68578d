"""A person at the page, in headless Chromium, before the real server, the real Dagster and real stages.

A video is dropped, its stages go by, the server is restarted in between, a second browser sees the same, and the scene
opens; a bad file shows its sentence. Minutes of training, so for `make soak`.
"""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reconstruction_pipeline_tests.chromium import DRAWING, chromium, needs_chromium
from reconstruction_pipeline_tests.stages.captures import real_capture
from reconstruction_pipeline_tests.web.serving import Serve, serving

pytestmark = [*needs_chromium, pytest.mark.daemon, pytest.mark.soak, pytest.mark.timeout(3000)]

DROP = """([name, data]) => {
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], name, { type: 'video/mp4', lastModified: 1 }));
  for (const kind of ['dragenter', 'dragover', 'drop']) {
    const event = new DragEvent(kind, { bubbles: true, cancelable: true, dataTransfer: transfer });
    document.getElementById('drop').dispatchEvent(event);
  }
}"""
PHONE = {"width": 390, "height": 800}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    with serving(tmp_path_factory.mktemp("serve")) as made:
        yield made


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium(DRAWING) as launched:
        yield launched


def drop(page: Any, name: str, data: bytes) -> None:
    page.evaluate(DROP, [name, base64.b64encode(data).decode()])


def shown(page: Any, key: str) -> tuple[str, float]:
    """The state's text of a card and its bar."""
    found: list[Any] = page.evaluate(
        """key => { const card = document.querySelector(`[data-name="${key}"]`);
        return card ? [card.querySelector('.state').textContent, card.querySelector('progress').value] : ['', 0]; }""",
        key,
    )
    return str(found[0]), float(found[1])


def wait_for(page: Any, condition: str, seconds: float = 120.0) -> None:
    """Asked from outside: the page's policy forbids the `eval` that Playwright's own waiting needs."""
    deadline = time.monotonic() + seconds
    while not page.evaluate(condition):
        assert time.monotonic() < deadline, condition
        page.wait_for_timeout(100)


def picture(page: Any, name: str) -> None:
    """A screenshot where somebody wants to look at it."""
    if folder := os.environ.get("RECONSTRUCTION_TEST_PICTURES"):
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


def test_a_dropped_video_becomes_a_scene_though_the_server_restarts(browser: Any, server: Serve) -> None:
    data = real_capture("videos/apple_handheld.mp4").read_bytes()
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(120_000)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(server.url)
    picture(page, "empty")
    page.check("input[value=fastest]")
    drop(page, "../../My apple.mp4", data)
    page.wait_for_selector("[data-name=my-apple]")
    other = browser.new_context(viewport=PHONE, color_scheme="dark").new_page()
    other.set_default_timeout(120_000)
    other.goto(server.url)
    texts, shares, restarted = [], [], False
    deadline = time.monotonic() + 1500
    while page.locator("[data-name=my-apple] .links a.primary:visible").count() == 0:
        assert time.monotonic() < deadline, (texts, server.log())
        text, share = shown(page, "my-apple")
        label = text.split(" · ")[0]
        if label and label not in texts:
            texts.append(label)
        if " · " in text:
            shares.append(share)
        if label == "Training the splats" and not restarted:
            wait_for(other, "document.querySelector('[data-name=my-apple] .state').textContent.startsWith('Training')")
            picture(page, "running")
            picture(other, "running-phone")
            run = server.ask("/api/videos/my-apple")["run_id"]
            assert server.stop() == 0, server.log()
            page.wait_for_selector("#offline:not([hidden])")
            server.start()
            restarted = True
        page.wait_for_timeout(250)
    assert restarted and texts[-1] != "", texts
    stages = ["Finding the cameras", "Training the splats", "Making small files"]
    assert [text for text in texts if text in stages] == stages, texts
    assert shares == sorted(shares) and len(set(shares)) > 8, shares
    found = server.ask("/api/videos/my-apple")
    assert found["state"] == "done" and found["run_id"] == run, "the same run went on while the server was away"
    assert found["grade"] in "ABCD"
    other.wait_for_selector("[data-name=my-apple] .links a.primary:visible")
    assert other.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert other.inner_text("[data-name=my-apple] .grade") == page.inner_text("[data-name=my-apple] .grade")
    wait_for(page, "document.querySelector('[data-name=my-apple] img').naturalWidth > 0")
    picture(page, "done")
    picture(other, "done-phone")
    assert [url for url in asked if not url.startswith((server.url, "data:", "blob:"))] == []
    assert errors == []
    page.click("[data-name=my-apple] .links a.primary")
    page.wait_for_selector("body.scene-shown", timeout=120_000)
    picture(page, "viewer")
    page.go_back()
    page.click("[data-name=my-apple] .links a:has-text('Report')")
    page.wait_for_selector("h1")
    picture(page, "report")
    assert errors == []


def test_a_bad_file_shows_its_sentence(browser: Any, server: Serve) -> None:
    page = browser.new_page()
    page.set_default_timeout(60_000)
    page.goto(server.url)
    drop(page, "holiday.mp4", b"this is no video at all\n" * 500)
    page.wait_for_selector(".problem:not(:empty)")
    sentence = page.inner_text(".problem")
    assert sentence.startswith("holiday.mp4") and sentence.endswith("."), sentence
    assert page.get_attribute(".problem", "role") == "alert"
    picture(page, "bad")
    page.click("text=Close")
    assert page.locator("#uploads li").count() == 0


def test_a_broken_upload_goes_on_when_the_server_is_back(browser: Any, server: Serve) -> None:
    data = real_capture("videos/desk_handheld.mp4").read_bytes()
    page = browser.new_page()
    page.set_default_timeout(120_000)
    page.goto(server.url)
    server.stop()
    drop(page, "desk.mp4", data)
    page.wait_for_selector("#uploads li:has-text('waiting for the server')")
    server.start()
    page.wait_for_selector("[data-name=desk], .problem:not(:empty)", timeout=600_000)
    assert page.locator(".problem:not(:empty)").count() == 0, page.inner_text("#uploads")
    page.click("[data-name=desk] button:has-text('Cancel')")
    server.wait("desk", "canceled")
    page.wait_for_selector("[data-name=desk] button.danger:visible", timeout=120_000)
    page.click("[data-name=desk] button:has-text('Delete')")
    picture(page, "confirm")
    page.click("#confirm-yes")
    page.wait_for_selector("[data-name=desk]", state="detached", timeout=600_000)
    assert not list((server.uploads / ".web").rglob("desk.mp4"))


def test_everything_can_be_reached_by_keyboard_and_has_a_name(browser: Any, server: Serve) -> None:
    page = browser.new_page(viewport=PHONE)
    page.goto(server.url)
    page.wait_for_selector("#nothing:not([hidden]), .scene")
    unnamed = "[...document.querySelectorAll('a, button, input, select, progress')]"
    unnamed += ".filter(e => e.checkVisibility() && !(e.textContent.trim() || e.ariaLabel || e.labels?.length)).length"
    assert page.evaluate(unnamed) == 0
    wanted = page.evaluate("document.querySelectorAll('a[href], button, summary, select').length")
    reached = set()
    for _ in range(wanted + 10):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.textContent"))
    assert {"choose", "To the scenes", "API"} <= reached
    page.goto(f"{server.url}/docs")
    page.wait_for_selector("details summary")
    page.click("details summary")
    picture(page, "docs")
    page.goto(server.url)
    small = "[...document.querySelectorAll('button, fieldset label')]"
    small += ".filter(e => e.checkVisibility() && e.offsetHeight < 30).length"
    assert page.evaluate(small) == 0
