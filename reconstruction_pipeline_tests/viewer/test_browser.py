"""The page in a real browser, from disk, with the network off."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from reconstruction_pipeline.stages.compression.codecs import write_splats
from reconstruction_pipeline.viewer import write_viewer
from reconstruction_pipeline.viewer.vendor import VENDOR
from reconstruction_pipeline_tests.viewer.scenes import BALLS, SIZE, balls, cameras, project

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
LANDSCAPE, PORTRAIT = (900, 600), (420, 760)
FLAGS = [
    "--no-sandbox",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
    "--disable-dev-shm-usage",
]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine (apt-get install chromium)"),
    pytest.mark.skipif(not VENDOR.is_dir(), reason="python -m reconstruction_pipeline.viewer.install has not run"),
]


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("viewer")
    write_splats(folder / "scene.sog", balls())
    # A title that would break out of markup if it were not escaped.
    write_viewer(folder / "viewer.html", folder / "scene.sog", cameras(), "Balls </title><b>&", "1200 splats")
    (folder / "scene.sog").unlink()  # the page must not need it
    return folder / "viewer.html"


def test_page_opens_from_disk_offline_and_shows_what_the_camera_saw(page_file: Path) -> None:
    playwright = pytest.importorskip("playwright.sync_api")
    requests: list[str] = []
    errors: list[str] = []
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            for window in (LANDSCAPE, PORTRAIT):
                context = browser.new_context(viewport={"width": window[0], "height": window[1]}, offline=True)
                page = context.new_page()
                page.on("request", lambda request: requests.append(request.url))
                page.on("pageerror", lambda error: errors.append(str(error)))
                page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
                page.add_init_script("window.seen = new Promise(done => { window.firstFrame = () => done(true); })")
                page.goto(page_file.as_uri())
                page.evaluate("window.seen")
                assert page.title() == "Balls </title><b>&"
                assert page.inner_text("#scene-note") == "Balls </title><b>&\n1200 splats"
                assert page.evaluate("window.animationDuration") == pytest.approx(5.0)
                name = "portrait" if window is PORTRAIT else "landscape"
                start = _picture(page, page_file.with_name(f"{name}-start.png"))
                _assert_shows_balls(start, window, camera=0)
                if window is LANDSCAPE:
                    page.evaluate("window.scrubTo(window.animationDuration)")
                    end = _picture(page, page_file.with_name(f"{name}-end.png"))
                    _assert_shows_balls(end, window, camera=2)
                context.close()
        finally:
            browser.close()
    assert not errors
    assert requests
    assert [url for url in requests if not url.startswith(("file://", "data:", "blob:"))] == []


def _picture(page: Any, path: Path) -> np.ndarray:
    """A screenshot, kept beside the page for people who want to look."""
    path.write_bytes(page.screenshot(timeout=120_000))
    return np.asarray(Image.open(path).convert("RGB"))


def _assert_shows_balls(picture: np.ndarray, window: tuple[int, int], camera: int) -> None:
    """Every ball's colour is where our camera model projects its centre, and the background is dark."""
    image = cameras().images[camera]
    # The photograph fits into the window, centred.
    scale = min(window[0] / SIZE[0], window[1] / SIZE[1])
    for name, (center, colour) in BALLS.items():
        u, v = project(image.rotation, image.translation, np.array(center))
        x = window[0] / 2 + (u - SIZE[0] / 2) * scale
        y = window[1] / 2 + (v - SIZE[1] / 2) * scale
        patch = picture[int(y) - 3 : int(y) + 4, int(x) - 3 : int(x) + 4].reshape(-1, 3).mean(axis=0) / 255.0
        assert np.abs(patch - colour).max() < 0.12, f"{name} should be at ({x:.0f}, {y:.0f}), there is {patch}"
    assert picture[60:90, 200:230].max() < 20
