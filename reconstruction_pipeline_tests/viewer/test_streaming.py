"""The page of a streamed scene on a static host, in a real browser; and what it says when it is opened from disk."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reconstruction_pipeline.artifacts.ply import write_ply
from reconstruction_pipeline.stages.compression.codecs import WriteOptions, streamed, write_splats
from reconstruction_pipeline.stages.compression.convert import convert
from reconstruction_pipeline.viewer.streaming import write_streaming_page
from reconstruction_pipeline.viewer.vendor import VENDOR
from reconstruction_pipeline_tests.chromium import DRAWING, chromium, needs_chromium
from reconstruction_pipeline_tests.viewer.scenes import BALLS, balls, cameras
from reconstruction_pipeline_tests.viewer.test_browser import LANDSCAPE, assert_like_our_render, picture_of

pytestmark = [
    *needs_chromium,
    pytest.mark.skipif(not VENDOR.is_dir(), reason="python -m reconstruction_pipeline.viewer.install has not run"),
]


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments: Any) -> None:
        pass


@contextmanager
def host(folder: Path) -> Iterator[str]:
    """A static host of a folder."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("hosted") / "streamed"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streamed, "CELL", 200)
        patch.setattr(streamed, "FILE", 300)
        write_splats(made / "lod-meta.json", balls(), WriteOptions(levels=3))
    write_streaming_page(made, cameras(), "Balls </title><b>&", "1200 splats")
    return made


def test_page_on_a_static_host_shows_what_the_camera_saw(folder: Path) -> None:
    requests: list[str] = []
    errors: list[str] = []
    with host(folder) as address, chromium(DRAWING) as browser:
        page = browser.new_page(viewport={"width": LANDSCAPE[0], "height": LANDSCAPE[1]})
        page.on("request", lambda request: requests.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"{address}/index.html")
        page.wait_for_selector("body.scene-shown", timeout=120_000)
        assert page.title() == "Balls </title><b>&"
        # The coarsest level comes first, the others within a moment.
        for _ in range(20):
            try:
                assert_like_our_render(picture_of(page, folder.parent / "start.png"), LANDSCAPE, camera=0)
                break
            except AssertionError:
                time.sleep(1.0)
        else:
            pytest.fail("the finest level never came")
    assert not errors
    fetched = {url.removeprefix(address) for url in requests if url.startswith(address)}
    assert {"/lod-meta.json", "/2_0/meta.json", "/0_0/meta.json"} <= fetched
    assert [url for url in requests if not url.startswith((f"{address}/", "data:", "blob:"))] == []


def test_opened_from_disk_it_says_what_to_do(folder: Path) -> None:
    with chromium() as browser:
        page = browser.new_page()
        page.goto((folder / "index.html").as_uri())
        page.wait_for_selector("#scene-loading progress", state="hidden", timeout=60_000)
        assert "put its folder on a web server" in page.inner_text("#scene-loading")


@pytest.mark.soak
def test_a_converted_scene_without_cameras_is_shown_whole_and_upright(tmp_path: Path) -> None:
    write_ply(tmp_path / "balls.ply", balls())
    convert(tmp_path / "balls.ply", tmp_path / "out" / "lod-meta.json", levels=2, page=True)
    with host(tmp_path / "out") as address, chromium(DRAWING) as browser:
        page = browser.new_page(viewport={"width": 480, "height": 480})
        page.goto(address)
        page.wait_for_selector("body.scene-shown", timeout=120_000)
        assert "1,200 splats" in page.inner_text("#scene-note")
        page.wait_for_timeout(1500)
        picture = picture_of(page, tmp_path / "picture.png").astype(float)
    rows, columns = {}, {}
    for name, (_, colour) in BALLS.items():
        towards = picture @ (np.array(colour) - 0.4)
        where = np.argwhere(towards > 0.6 * towards.max())
        rows[name], columns[name] = where.mean(axis=0)
    # Red is above, green below, yellow to the right (+x) and blue to the left: seen along +z, nothing mirrored.
    assert rows["red"] < rows["blue"] < rows["green"]
    assert columns["blue"] < columns["green"] < columns["yellow"]
