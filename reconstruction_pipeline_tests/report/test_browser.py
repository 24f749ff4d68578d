"""The page in headless Chromium: nothing on the console, nothing wider than a phone, nothing from the network."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from reconstruction_pipeline.artifacts.progress import NullProgress
from reconstruction_pipeline.report import StageFailure, build_report
from reconstruction_pipeline_tests.chromium import chromium, needs_chromium
from reconstruction_pipeline_tests.report import scenes

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as launched:
        yield launched


@pytest.fixture(scope="module", params=["complete", "stopped"])
def report(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp(request.param)
    if request.param == "complete":
        inputs = scenes.inputs(scenes.line(root), key="a_scene_with_a_rather_long_name_in_one_word_of_more_than_sixty")
    else:
        failure = StageFailure(
            "camera_poses", "No two frames fit together.", advice="Move sideways.", log_tail="x" * 500
        )
        inputs = scenes.inputs(scenes.line(root, 2), failures={"camera_poses": failure})
    build_report(inputs, root / "report", NullProgress())
    return root / "report" / "report.html"


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (390, "dark"), (1200, "light")])
def test_page_fits_and_is_quiet(browser: Any, report: Path, tmp_path: Path, width: int, scheme: str) -> None:
    context = browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme, offline=True)
    page = context.new_page()
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(report.as_uri())
    for summary in page.locator("summary").all():
        summary.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    broken = "[...document.images].filter(i => !i.complete || !i.naturalWidth).length"
    assert page.evaluate(broken) == 0
    sizes = page.evaluate("[...document.querySelectorAll('svg')].map(s => s.getBoundingClientRect().height)")
    assert sizes and min(sizes) > 80
    assert said == []
    assert [url for url in asked if not url.startswith(("data:", report.as_uri()))] == []
    picture = tmp_path / "report.png"
    page.screenshot(path=picture, full_page=True)
    assert picture.stat().st_size > 20_000
    _assert_shows_the_scene(page, report.with_name("thumbnail.jpg"))
    context.close()


def _assert_shows_the_scene(page: Any, thumbnail: Path) -> None:
    """The top of the page on the screen is the middle of the scene's picture."""
    cover = page.locator(".cover img")
    shown = Image.open(io.BytesIO(cover.screenshot())).convert("RGB")
    whole = Image.open(thumbnail).convert("RGB")
    expected = ImageOps.fit(whole, shown.size, centering=(0.5, 0.35))
    edge = 20  # the corners are round
    pixels = [np.asarray(image, float)[edge:-edge, edge:-edge] for image in (shown, expected)]
    assert np.abs(pixels[0] - pixels[1]).mean() < 6.0
