"""Pages of Dagster's UI that several tests look at."""

from __future__ import annotations

from typing import Any

from reconstruction_pipeline_tests.orchestration.site.servers import wait_until
from reconstruction_pipeline_tests.orchestration.ui_server import UiServer

DRAWN = """() => [...document.querySelectorAll('canvas')].filter(canvas => {
  const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
  const colours = new Set();
  for (let i = 0; i < data.length; i += 4) if (data[i + 3] > 200) colours.add(data.slice(i, i + 3).join());
  return colours.size > 1;
}).length"""
"""How many plots of the page have something drawn in them."""


def show_plots(page: Any, server: UiServer, asset: str, figure: str) -> None:
    """Open an asset's plots over partitions, the one of a figure in view; fails unless it is drawn."""
    from playwright.sync_api import expect

    page.goto(f"{server.url}/assets/{asset}?view=overview")
    page.get_by_role("button", name="Plots").click()
    expect(page.get_by_role("button", name="Partitions")).to_be_visible()
    wait_until(lambda: page.evaluate(DRAWN) == page.locator("canvas").count() > 0, 60, lambda: "no plot is drawn", 0.5)
    heading = page.get_by_text(figure, exact=True).last  # the one before it is in the table of columns
    expect(heading).to_be_visible()
    heading.evaluate("heading => heading.scrollIntoView({block: 'center'})")
