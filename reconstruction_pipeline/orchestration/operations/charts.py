"""The weekly summary as one picture."""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import datetime

from reconstruction_pipeline.orchestration.operations.quality import GRADES, SceneRow, failed_gate_counts

COLOURS = dict(zip(GRADES, ("#1a7f4b", "#6aa84f", "#e0a800", "#e07b00", "#c0392b"), strict=True))
GATES_SHOWN = 8
PALETTE = 64
MINIMUM_PSNR_DB = 18.0  # below, the gate of `gaussian_splats` stops a scene


def summary_picture(rows: Sequence[SceneRow]) -> bytes:
    """PNG of 1200x360 px: grades, held-out PSNR over time, and the gates that fail most."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator
    from PIL import Image

    figure = Figure(figsize=(12, 3.6), dpi=100, layout="constrained")
    grades, quality, gates = figure.subplots(1, 3)

    counts = [sum(row.grade == grade for row in rows) for grade in GRADES]
    bars = grades.bar(GRADES, counts, color=[COLOURS[grade] for grade in GRADES])
    grades.bar_label(bars)
    grades.set(title=f"Grades of {len(rows)} scenes", ylabel="scenes")

    measured = [row for row in rows if row.psnr_holdout_db is not None]
    quality.scatter(
        [datetime.fromisoformat(row.reported_at) for row in measured],
        [row.psnr_holdout_db or 0.0 for row in measured],
        c=[COLOURS.get(row.grade, "grey") for row in measured],
        s=18,
    )
    quality.axhline(MINIMUM_PSNR_DB, color=COLOURS["F"], linewidth=0.8, linestyle="--")
    quality.set(title="Held-out PSNR by date of the report", ylabel="dB")
    quality.xaxis.set_major_formatter(ConciseDateFormatter(locator := AutoDateLocator(maxticks=7)))
    quality.xaxis.set_major_locator(locator)
    quality.tick_params(axis="x", labelsize=8)

    worst = failed_gate_counts(rows)[:GATES_SHOWN][::-1]
    labelled = gates.barh([name for name, _ in worst], [count for _, count in worst], color="#4a6fa5")
    gates.bar_label(labelled, padding=3)
    gates.set(title="Gates that fail most" if worst else "No gate fails", xlabel="scenes")
    gates.tick_params(axis="y", labelsize=7)

    grades.yaxis.set_major_locator(MaxNLocator(integer=True))
    gates.xaxis.set_major_locator(MaxNLocator(integer=True))
    gates.margins(x=0.1)
    for panel in (grades, quality, gates):
        panel.spines[["top", "right"]].set_visible(False)
    drawn, out = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png")
    # Few colours, few bytes: the picture lies in the event log.
    Image.open(drawn).convert("RGB").quantize(PALETTE).save(out, format="png", optimize=True)
    return out.getvalue()
