"""The page in a real browser, from disk, with the network off."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from reconstruction_pipeline.kernels.camera import PinholeView
from reconstruction_pipeline.kernels.metrics import psnr
from reconstruction_pipeline.stages.compression.codecs import write_splats
from reconstruction_pipeline.stages.splats.evaluate import renderer
from reconstruction_pipeline.viewer import with_grade, write_viewer
from reconstruction_pipeline.viewer.camera_path import TO_VIEWER
from reconstruction_pipeline.viewer.limits import limits_of
from reconstruction_pipeline.viewer.vendor import VENDOR
from reconstruction_pipeline_tests.chromium import DRAWING, PLAIN, chromium, needs_chromium
from reconstruction_pipeline_tests.viewer.scenes import BALLS, FOCAL, SIZE, balls, cameras, colour_from, project

LANDSCAPE, PORTRAIT = (900, 600), (420, 760)

pytestmark = [
    *needs_chromium,
    pytest.mark.skipif(not VENDOR.is_dir(), reason="python -m reconstruction_pipeline.viewer.install has not run"),
]


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("viewer")
    write_splats(folder / "scene.sog", balls())
    # A title that would break out of markup if it were not escaped.
    write_viewer(folder / "viewer.html", folder / "scene.sog", cameras(), "Balls </title><b>&", "1200 splats")
    (folder / "scene.sog").unlink()  # the page must not need it
    made = folder / "viewer.html"
    made.write_text(with_grade(made.read_text(), "B"))
    return made


def test_page_opens_from_disk_offline_and_shows_what_the_camera_saw(page_file: Path) -> None:
    requests: list[str] = []
    errors: list[str] = []
    with chromium(DRAWING) as browser:
        for window in (LANDSCAPE, PORTRAIT):
            context = browser.new_context(viewport={"width": window[0], "height": window[1]}, offline=True)
            page = context.new_page()
            page.on("request", lambda request: requests.append(request.url))
            page.on("pageerror", lambda error: errors.append(str(error)))
            page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
            page.goto(page_file.as_uri())
            page.wait_for_selector("body.scene-shown", timeout=120_000)
            assert page.title() == "Balls </title><b>&"
            assert page.inner_text("#scene-note").startswith("Balls </title><b>&\nGrade B 1200 splats")
            assert page.evaluate("window.animationDuration") == pytest.approx(5.0)
            assert page.evaluate("document.querySelector('#scene-loading').classList.contains('done')")
            unnamed = "[...document.querySelectorAll('.sse-controlButton')].filter(b => !b.ariaLabel).length"
            assert page.evaluate(unnamed) <= 3  # walking and the headsets', which are not offered
            name = "portrait" if window is PORTRAIT else "landscape"
            start = picture_of(page, page_file.with_name(f"{name}-start.png"))
            _assert_shows_balls(start, window, camera=0)
            if window is LANDSCAPE:
                assert_like_our_render(start, window, camera=0)
                page.evaluate("window.scrubTo(window.animationDuration)")
                end = picture_of(page, page_file.with_name(f"{name}-end.png"))
                _assert_shows_balls(end, window, camera=2)
                _assert_stays_inside(page)
            context.close()
    assert not errors
    assert requests
    assert [url for url in requests if not url.startswith(("file://", "data:", "blob:"))] == []


@pytest.mark.parametrize(
    ("harm", "flags", "sentence"),
    [
        ("", (*PLAIN, "--disable-3d-apis"), "needs a browser with WebGL 2 or WebGPU"),
        ("cut", DRAWING, "This page is not complete"),
        ("damage", DRAWING, "The scene in this page is damaged"),
    ],
    ids=["no-webgl", "cut", "damage"],
)
def test_what_cannot_be_shown_is_said(
    page_file: Path, tmp_path: Path, harm: str, flags: tuple[str, ...], sentence: str
) -> None:
    text = page_file.read_text()
    at = text.index('scene.add("') + 40
    if harm:
        text = text[:at] if harm == "cut" else text[:at] + "A" * 400 + text[at + 400 :]
    (tmp_path / "viewer.html").write_text(text)
    with chromium(flags) as browser:
        page = browser.new_page(viewport={"width": 480, "height": 320})
        page.goto((tmp_path / "viewer.html").as_uri())
        page.wait_for_selector("#scene-loading progress", state="hidden", timeout=60_000)
        assert sentence in page.inner_text("#scene-loading")


def picture_of(page: Any, path: Path) -> np.ndarray:
    """A screenshot, kept beside the page for people who want to look."""
    path.write_bytes(page.screenshot(timeout=120_000))
    return np.asarray(Image.open(path).convert("RGB"))


def _assert_shows_balls(picture: np.ndarray, window: tuple[int, int], camera: int) -> None:
    """Every ball's colour is where our camera model projects its centre, and the background is dark."""
    image = cameras().images[camera]
    # The photograph fits into the window, centred.
    scale = min(window[0] / SIZE[0], window[1] / SIZE[1])
    for name, (center, _) in BALLS.items():
        u, v = project(image.rotation, image.translation, np.array(center))
        x = window[0] / 2 + (u - SIZE[0] / 2) * scale
        y = window[1] / 2 + (v - SIZE[1] / 2) * scale
        expected = colour_from(name, image.center)
        patch = picture[int(y) - 3 : int(y) + 4, int(x) - 3 : int(x) + 4].reshape(-1, 3).mean(axis=0) / 255.0
        assert np.abs(patch - expected).max() < 0.08, f"{name} should be at ({x:.0f}, {y:.0f}), there is {patch}"
    assert picture[110:140, 10:40].max() < 20


def assert_like_our_render(picture: np.ndarray, window: tuple[int, int], camera: int) -> None:
    """The middle of the page, between note and controls, is what our own renderer draws from the same camera."""
    image = cameras().images[camera]
    scale = min(window[0] / SIZE[0], window[1] / SIZE[1])
    lens = (FOCAL[0] * scale, FOCAL[1] * scale, window[0] / 2, window[1] / 2)
    view = PinholeView(image.rotation, image.translation, *lens, *window)
    ours = np.clip(renderer(balls(), [view])(view), 0.0, 1.0)[120:500, 250:650]
    page = picture[120:500, 250:650] / np.float32(255.0)
    assert psnr(page, ours) > 30.0
    # Against what it must not be mistaken for: mirrored, upside down, or with red and blue exchanged.
    for wrong in (ours[:, ::-1], ours[::-1], ours[..., ::-1]):
        assert psnr(page, np.ascontiguousarray(wrong)) < 20.0


def _assert_stays_inside(page: Any) -> None:
    """Neither the wheel, a drag nor the keys bring the camera out of the scene or under the ground."""
    limits = limits_of(cameras())
    where = "async () => { const v = await window.sse.viewer, p = v.internals.cameraManager.camera.position;"
    where += " return { mode: v.state.cameraMode, at: [p.x, p.y, p.z] }; }"
    page.mouse.move(450, 300)
    page.mouse.down()
    page.mouse.move(450, 80, steps=4)
    page.mouse.up()
    for _ in range(8):
        page.mouse.wheel(0, 2000)
        page.wait_for_timeout(40)
    page.wait_for_timeout(300)
    turned = page.evaluate(where)
    assert turned["mode"] == "orbit"
    page.keyboard.down("s")
    page.wait_for_timeout(600)
    page.keyboard.up("s")
    flown = page.evaluate(where)
    assert flown["mode"] == "fly"
    captured = cameras().centers * TO_VIEWER
    away = [float(np.linalg.norm(captured - place["at"], axis=1).min()) for place in (turned, flown)]
    assert max(away) < limits.room * 1.0001
    assert min(turned["at"][1], flown["at"][1]) >= limits.floor - 1e-6
    # It did come to a limit, so the limit is what held it.
    assert away[0] > limits.room * 0.999 or turned["at"][1] < limits.floor + 1e-3
    page.keyboard.press("f")
    page.wait_for_timeout(200)
    assert page.evaluate(where)["mode"] == "orbit"
