"""`report.html`: everything a person wants to know about a scene on one offline page."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from reconstruction_pipeline.artifacts.progress import Progress
from reconstruction_pipeline.report.downloads import LABELS, NOT_DOWNLOADS, sizes
from reconstruction_pipeline.report.grade import MEANING
from reconstruction_pipeline.report.inputs import STAGES, ReportInputs
from reconstruction_pipeline.report.outcome import Outcome
from reconstruction_pipeline.report.pictures import encode
from reconstruction_pipeline.report.plain import number_of, without_private_lines
from reconstruction_pipeline.report.section import Section
from reconstruction_pipeline.report.sections import capture, depth, making, quality
from reconstruction_pipeline.report.words import clock, duration, listed, number, plural, size

if TYPE_CHECKING:
    from PIL import Image

SECTIONS = (
    quality.comparisons,
    capture.keyframes,
    capture.camera_poses,
    depth.depth_maps,
    quality.training,
    quality.mesh,
    making.compression,
)


def render_page(
    inputs: ReportInputs, outcome: Outcome, progress: Progress, made_at: datetime, cover: Image.Image | None = None
) -> str:
    """The page as text; `cover` is the picture at its top."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    sections = []
    for done, part in enumerate(SECTIONS):
        progress.report("scene_report", done, len(SECTIONS), part.__name__.replace("_", " "))
        section = part(inputs)
        if section is not None and not section.empty:
            sections.append(section)
    environment = Environment(
        loader=PackageLoader("reconstruction_pipeline.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2").render(**_context(inputs, outcome, sections, made_at, cover))


def _context(
    inputs: ReportInputs, outcome: Outcome, sections: list[Section], made_at: datetime, cover: Image.Image | None
) -> dict[str, Any]:
    shares = making.time_shares(inputs)
    rows = making.gates(inputs)
    log = without_private_lines(outcome.failed.log_tail) if outcome.failed else ""
    return {
        "key": inputs.key,
        "outcome": outcome,
        "meaning": MEANING[outcome.grade],
        "verdict": verdict_line(inputs, outcome),
        "cover": cover and encode(cover, "The scene" if not outcome.blocked else "A frame of the capture"),
        "made": f"{made_at:%Y-%m-%d %H:%M} UTC",
        "links": links(inputs),
        "headline": headline(inputs, sum(share.seconds for share in shares)),
        "stages": stage_states(inputs, outcome),
        "sections": sections,
        "shares": shares,
        "total": duration(sum(share.seconds for share in shares)),
        "gates": rows,
        "gate_counts": {state: sum(row["state"] == state for row in rows) for state in ("pass", "warn", "fail")},
        "provenance": making.provenance(inputs),
        "versions": sorted(inputs.versions.items()),
        "log_tail": log,
    }


def verdict_line(inputs: ReportInputs, outcome: Outcome) -> str:
    """One plain sentence: what came out, and what keeps it from the best grade."""
    if outcome.went_on:
        return "The line went on only because failed gates were accepted. Do not rely on what it made."
    if outcome.blocked:
        reached = [STAGES[s].lower() for s in STAGES if s in inputs.artifacts]
        return "No scene was made from this capture. " + (f"Reached: {listed(reached)}." if reached else "")
    metrics = _metrics(inputs)
    images, registered = (number_of(metrics["camera_poses"].get(name)) for name in ("images", "registered"))
    psnr = number_of(metrics["gaussian_splats"].get("psnr_holdout_db"))
    parts = []
    if images and registered is not None:
        placed = "all" if registered == images else f"{number(registered)} of"
        parts.append(f"{placed} {number(images)} images found their place")
    if psnr is not None:
        parts.append(f"views the training never saw come out at {psnr:.1f} dB")
    line = f"{listed(parts)}." if parts else "The scene was made."
    line = line[0].upper() + line[1:]
    if outcome.grade != "A" and outcome.reasons:
        line += f" Not an A because {listed(list(outcome.reasons))}."
    return line


def headline(inputs: ReportInputs, seconds: float) -> list[tuple[str, str, str]]:
    """(label, figure, unit or remark) of the numbers that matter first."""
    metrics = _metrics(inputs)
    splats, poses, packed = metrics["gaussian_splats"], metrics["camera_poses"], metrics["compressed_splats"]
    rows: list[tuple[str, str, str]] = []
    if (psnr := number_of(splats.get("psnr_holdout_db"))) is not None:
        rows.append(("Held-out PSNR", f"{psnr:.1f}", "dB"))
    if (ssim := number_of(splats.get("ssim_holdout"))) is not None:
        rows.append(("Held-out SSIM", f"{ssim:.3f}", "of 1"))
    if (count := number_of(splats.get("count"))) is not None:
        rows.append(("Splats", number(count), ""))
    if (weight := number_of(packed.get("sog_bytes"))) is not None:
        figure, unit = size(weight).split()
        rows.append(("Size as SOG", figure, unit))
    if (registered := number_of(poses.get("registered"))) is not None:
        images = number_of(poses.get("images"))
        rows.append(("Images placed", number(registered), f"of {number(images)}" if images else ""))
    elif (selected := number_of(metrics["keyframes"].get("selected"))) is not None:
        rows.append(("Keyframes", number(selected), ""))
    if seconds:
        rows.append(("Time in all stages", *clock(seconds)))
    return rows


def stage_states(inputs: ReportInputs, outcome: Outcome) -> list[dict[str, str]]:
    """A mark per stage for the strip: "pass", "warn", "fail" or "none" (not reached), each with its word."""
    states = []
    for stage, title in STAGES.items():
        artifact = inputs.artifacts.get(stage)
        if stage in inputs.failures or (artifact is not None and not artifact.verdict.ok):
            state, word = "fail", "no result" if artifact is None else "stopped here"
            if outcome.failed is None or outcome.failed.stage != stage:
                state, word = ("none", "not reached") if artifact is None and outcome.blocked else (state, word)
        elif artifact is None:
            state, word = "none", "not reached"
        elif warnings := artifact.verdict.warnings:
            state, word = "warn", plural(len(warnings), "warning")
        else:
            state, word = "pass", "done"
        states.append({"title": title, "state": state, "word": word})
    return states


def links(inputs: ReportInputs) -> list[dict[str, str]]:
    """The deliverables, the viewer first, with their sizes where the artifact holds the file."""
    known = [name for name in LABELS if name in inputs.links]
    rows, weights = [], sizes(inputs)
    for name in [*known, *sorted(set(inputs.links) - set(known) - NOT_DOWNLOADS)]:
        weight = weights.get(name)
        text = "" if weight is None else size(weight)
        rows.append({"name": name, "href": inputs.links[name], "label": LABELS.get(name, name), "size": text})
    return rows


def _metrics(inputs: ReportInputs) -> dict[str, Mapping[str, Any]]:
    return {stage: inputs.artifacts[stage].metrics if stage in inputs.artifacts else {} for stage in STAGES}
