"""How it was made and what came out: files, time, gates, provenance."""

from __future__ import annotations

from dataclasses import dataclass

from reconstruction_pipeline.artifacts import CompressedSplats, GaussianSplats
from reconstruction_pipeline.report.inputs import STAGES, ReportInputs
from reconstruction_pipeline.report.metrics import source_facts
from reconstruction_pipeline.report.plain import number_of
from reconstruction_pipeline.report.section import Section, Table
from reconstruction_pipeline.report.sections.pieces import label, previews, text
from reconstruction_pipeline.report.words import duration, number, size

FORMATS = {
    "sog": "SOG v2",
    "spz": "SPZ",
    "glb": "glTF (GLB)",
    "compressed_ply": "Compressed PLY",
    "streamed": "Streamed SOG, all levels",
}


def compression(inputs: ReportInputs) -> Section | None:
    """The delivered forms of the splats, with their sizes and losses."""
    artifact, splats = inputs.artifacts.get("compressed_splats"), inputs.artifacts.get("gaussian_splats")
    if not isinstance(artifact, CompressedSplats):
        return None
    section = Section("compression", "Compressed files")
    metrics = artifact.metrics
    rows: list[tuple[str, ...]] = []
    if isinstance(splats, GaussianSplats) and splats.path("scene.ply").is_file():
        rows.append(("PLY", size(splats.path("scene.ply").stat().st_size), "1 ×", "0 dB"))
    for name in FORMATS:
        if (count := number_of(metrics.get(f"{name}_bytes"))) is None:
            continue
        ratio, loss = (number_of(metrics.get(f"{name}_{what}")) for what in ("ratio", "psnr_loss_db"))
        rows.append(
            (
                FORMATS[name],
                size(count),
                f"{number(ratio)} ×" if ratio is not None else "–",
                f"{loss:.2f} dB" if loss is not None else "–",
            )
        )
    if rows:
        section.tables.append(Table(("Format", "Size", "Smaller by", "Loss"), rows, (1, 2, 3)))
    section.attempt("The previews", lambda: section.pictures.extend(previews(artifact, "Compressed splats")))
    return section


@dataclass(frozen=True)
class TimeShare:
    """What a stage took: seconds, share of the whole in 0..1, peak memory, backend and fallback level as texts."""

    stage: str
    title: str
    seconds: float
    share: float
    time: str
    memory: str
    backend: str
    fell_back: bool


def time_shares(inputs: ReportInputs) -> list[TimeShare]:
    """The stages that told their time, in the order of the line."""
    reached = [(s, inputs.artifacts[s].metrics) for s in STAGES if s in inputs.artifacts]
    timed = [(s, m, seconds) for s, m in reached if (seconds := number_of(m.get("seconds"))) is not None]
    total = sum(seconds for *_, seconds in timed) or 1.0
    shares = []
    for stage, metrics, seconds in timed:
        memory, level = number_of(metrics.get("peak_rss_mb")), number_of(metrics.get("fallback_level"))
        shares.append(
            TimeShare(
                stage,
                STAGES[stage],
                seconds,
                seconds / total,
                duration(seconds),
                size(memory * 1e6) if memory is not None else "–",
                str(metrics.get("backend") or "–"),
                bool(level),
            )
        )
    return shares


def gates(inputs: ReportInputs) -> list[dict[str, str]]:
    """A row of texts per gate; `state` is "pass", "warn" or "fail"."""
    rows = []
    for stage, title in STAGES.items():
        for gate in inputs.artifacts[stage].verdict.gates if stage in inputs.artifacts else ():
            state = "pass" if gate.passed else {"warn": "warn", "block": "fail"}[gate.severity]
            rows.append(
                {
                    "stage": title,
                    "name": label(gate.name),
                    "message": gate.message,
                    "value": _figure(gate.name, gate.value),
                    "threshold": _figure(gate.name, gate.threshold),
                    "state": state,
                    "advice": "" if gate.passed else gate.advice,
                }
            )
    return rows


def _figure(gate: str, value: float | None) -> str:
    plain_value = number_of(value)
    return "–" if plain_value is None else text(gate, plain_value)


def provenance(inputs: ReportInputs) -> list[tuple[str, str]]:
    """Where the scene came from: hash, format and preset."""
    source = source_facts(inputs)
    rows = [("Scene", inputs.key), ("Preset", inputs.preset)]
    if "kind" in source:
        rows.append(("Source", "a set of photos" if source["kind"] == "photos" else "a video"))
    if source.get("width") and source.get("height"):
        codec = f", {source['codec']}" if source.get("codec") else ""
        rows.append(("Picture size", f"{source['width']} × {source['height']} px{codec}"))
    seconds, frames = number_of(source.get("duration_s")), number_of(source.get("frames"))
    if not seconds and frames:
        rows.append(("Photos", number(frames)))
    elif seconds is not None:
        rows.append(("Length", duration(seconds) + (f", {number(frames)} frames" if frames else "")))
    if source.get("sha256"):
        rows.append(("Source SHA-256", str(source["sha256"])))
    return rows
