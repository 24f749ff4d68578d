"""The curves of a report: frame selection, training and the views held out of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup

from reconstruction_pipeline.report.svg import Chart

if TYPE_CHECKING:
    import pandas as pd

MOST_POINTS = 400


def selection_chart(table: pd.DataFrame, column: str, y_label: str) -> Markup | None:
    """A column of every frame looked at (line) and of the `chosen` ones (dots) over time; None without values."""
    values = table[column].to_numpy(float) if column in table else np.empty(0)
    picked = table["chosen"].to_numpy(bool) if "chosen" in table else np.ones(len(table), bool)
    if not np.isfinite(values[picked]).any():
        return None
    timed = _timed(table)
    xs = table["timestamp_s"].to_numpy(float) if timed else np.arange(len(table))
    # A single spike (a cut, a light switched on) must not flatten the rest.
    top = max(float(np.nanquantile(values, 0.995)), float(np.nanmax(values[picked]))) * 1.08
    chart = Chart((float(xs.min()), float(xs.max())), (0.0, top or 1.0), "seconds" if timed else "image", y_label)
    keep = _thinned(len(values))
    chart.line(xs[keep], np.minimum(values, top)[keep], "faint")
    chart.dots(xs[picked], values[picked], "first", 2.6)
    return chart.draw(f"{y_label} of {len(table)} frames looked at; the {picked.sum()} chosen ones are marked.")


def training_chart(curve: pd.DataFrame, column: str, y_label: str, css: str) -> Markup | None:
    """`loss` or `count` over the seconds of training, with a rule where a resolution level begins."""
    if len(curve) < 2 or not {column, "seconds"} <= set(curve.columns):
        return None
    seconds, values = curve["seconds"].to_numpy(float), curve[column].to_numpy(float)
    if not np.isfinite(values).any():
        return None
    top = float(np.nanmax(values)) * 1.08
    chart = Chart((0.0, float(seconds.max())), (0.0, top or 1.0), "seconds of training", y_label)
    if "level" in curve:
        levels = curve["level"].to_numpy()
        for row in np.flatnonzero(levels[1:] != levels[:-1]) + 1:
            chart.upright(seconds[row], f"level {levels[row]}")
    keep = _thinned(len(values))
    chart.line(seconds[keep], values[keep], css)
    ends = f"from {values[0]:.4g} to {values[-1]:.4g}"
    return chart.draw(f"{y_label} over {seconds.max():.0f} seconds of training, {ends}.")


def views_chart(evaluation: pd.DataFrame) -> Markup | None:
    """PSNR in dB of the held-out views in name order, with their mean; None for fewer than three."""
    table = evaluation.sort_values("name")
    values = table["psnr"].to_numpy(float)
    values = values[np.isfinite(values)]
    if len(values) < 3:
        return None
    mean = float(values.mean())
    low, high = np.floor(values.min()) - 1, np.ceil(values.max()) + 1
    chart = Chart((0.5, len(values) + 0.5), (float(low), float(high)), "held-out view", "PSNR, dB")
    chart.line([0.5, len(values) + 0.5], [mean, mean], "faint")
    chart.dots(np.arange(1.0, len(values) + 1), values, "first", 4)
    ends = f"from {values.min():.1f} to {values.max():.1f} dB, {mean:.1f} dB on average"
    return chart.draw(f"PSNR of {len(values)} held-out views: {ends}.")


def _timed(table: pd.DataFrame) -> bool:
    return "timestamp_s" in table and bool(table["timestamp_s"].notna().all()) and table["timestamp_s"].nunique() > 1


def _thinned(count: int) -> np.ndarray:
    """At most `MOST_POINTS` evenly spaced rows, the first and the last among them."""
    return np.unique(np.linspace(0, count - 1, min(count, MOST_POINTS)).round().astype(int))
