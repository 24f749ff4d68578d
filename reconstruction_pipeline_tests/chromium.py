"""Headless Chromium for the tests that open pages; `tools/browser.sh` installs it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

PATH = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PLAIN = ("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage")
# WebGL 2 without a graphics card.
DRAWING = (
    "--no-sandbox",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
    "--disable-dev-shm-usage",
)

needs_chromium = [
    pytest.mark.browser,
    pytest.mark.skipif(PATH is None, reason="no Chromium on this machine: tools/browser.sh installs it"),
]


@contextmanager
def chromium(flags: tuple[str, ...] = PLAIN) -> Iterator[Any]:
    """A browser of Playwright."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=PATH, args=list(flags))
        try:
            yield browser
        finally:
            browser.close()
