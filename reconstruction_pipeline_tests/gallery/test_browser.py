"""The gallery in headless Chromium, from disk: no requests but its own pictures, quick with 500 scenes, usable."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from upath import UPath

from reconstruction_pipeline.gallery import refresh_gallery
from reconstruction_pipeline_tests.chromium import chromium, needs_chromium
from reconstruction_pipeline_tests.gallery.scenes import deliver, failed, metrics

COUNT = 500
GREEN = (20, 200, 40)

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = UPath(tmp_path_factory.mktemp("deliverables"))
    buffer = io.BytesIO()
    Image.new("RGB", (320, 240), GREEN).save(buffer, "JPEG", quality=95)
    for index in range(COUNT - 1):
        grade = "ABCD"[index % 4]
        made = f"2031-01-01T{index // 60 % 24:02d}:{index % 60:02d}:00+00:00"
        deliver(folder, metrics(f"scene-{index:03d}", grade, 30 - index / 50, made), buffer.getvalue())
    deliver(folder, failed("black"))
    return Path(refresh_gallery(folder).path)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as launched:
        yield launched


def shown(page: Any) -> list[str]:
    found: list[str] = page.evaluate(
        "[...document.querySelectorAll('.scene')].filter(c => !c.hidden).map(c => c.dataset.name)"
    )
    return found


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1280, "light")])
def test_page_works_from_disk(browser: Any, gallery: Path, tmp_path: Path, width: int, scheme: str) -> None:
    context = browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme, offline=True)
    page = context.new_page()
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(gallery.as_uri())
    page.evaluate("Promise.all([...document.images].slice(0, 2).map(i => i.decode()))")
    assert len(shown(page)) == COUNT and shown(page)[0] == "black"
    # Pictures far down the page wait until somebody comes near.
    assert page.evaluate("[...document.images].filter(i => i.complete && i.naturalWidth).length") < COUNT / 4
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    picture = tmp_path / "gallery.png"
    picture.write_bytes(page.screenshot())
    pixels = np.asarray(Image.open(picture).convert("RGB"), int)
    assert (np.abs(pixels - GREEN).max(axis=2) < 12).mean() > 0.05, "the thumbnails are on the screen"

    page.select_option("#sort", "grade")
    assert shown(page)[:2] == ["scene-000", "scene-004"] and shown(page)[-1] == "black"
    page.select_option("#sort", "psnr")
    assert shown(page)[:3] == ["scene-000", "scene-001", "scene-002"] and shown(page)[-1] == "black"
    page.select_option("#sort", "name")
    assert shown(page)[:2] == ["black", "scene-000"]
    page.click("[data-grade=F].pick")
    assert shown(page) == ["black"] and page.inner_text("#count") == f"1 of {COUNT}"
    assert "All frames are black; film in light." in page.inner_text("#scenes")
    page.click("[data-grade=F].pick")
    page.fill("#search", "scene 49")
    assert shown(page) == [
        "scene-049",
        "scene-149",
        "scene-249",
        "scene-349",
        "scene-449",
        *[f"scene-49{i}" for i in range(9)],
    ]
    page.fill("#search", "nothing like it")
    assert shown(page) == []
    page.click("#clear")
    assert len(shown(page)) == COUNT
    unlabelled = "[...document.querySelectorAll('a, button, input, select')]"
    unlabelled += ".filter(e => !(e.textContent.trim() || e.ariaLabel || e.labels?.length)).length"
    assert page.evaluate(unlabelled) == 0
    assert said == []
    assert [url for url in asked if not url.startswith((gallery.parent.as_uri(), "data:"))] == []
    took = page.evaluate("performance.getEntriesByType('navigation')[0].domComplete")
    assert took < 5000, f"{COUNT} scenes took {took:.0f} ms to show"
    context.close()


def test_without_javascript_every_scene_is_there(browser: Any, gallery: Path) -> None:
    context = browser.new_context(java_script_enabled=False, offline=True)
    page = context.new_page()
    page.goto(gallery.as_uri())
    assert page.locator(".scene").count() == COUNT
    assert not page.locator("#tools").is_visible()
    context.close()
