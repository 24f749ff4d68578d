"""The weekly summary as one picture."""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import datetime

from reconstruction_pipeline.orchestration.operations.quality import GRADES, SceneRow, failed_gate_counts

COLOURS = dict(zip(GRADES, ("#1a7f4b", "#6aa84f", "#e0a800", "#e07b00", "#c0392b"), strict=True))
GATES_SHOWN = 8
MINIMUM_PSNR_DB = 18.0  # below, the gate of `gaussian_splats` stops a scene


def summary_picture(rows: Sequence[SceneRow]) -> bytes:
    """PNG of 1200x360 px: grades, held-out PSNR over time, and the gates that fail most."""
    from matplotlib.figure import Figure

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
    quality.tick_params(axis="x", labelrotation=30, labelsize=7)

    worst = failed_gate_counts(rows)[:GATES_SHOWN][::-1]
    labelled = gates.barh([name for name, _ in worst], [count for _, count in worst], color="#4a6fa5")
    gates.bar_label(labelled)
    gates.set(title="Gates that fail most" if worst else "No gate fails", xlabel="scenes")
    gates.tick_params(axis="y", labelsize=7)

    for panel in (grades, quality, gates):
        panel.spines[["top", "right"]].set_visible(False)
    out = io.BytesIO()
    figure.savefig(out, format="png", pil_kwargs={"optimize": True})
    return out.getvalue()
