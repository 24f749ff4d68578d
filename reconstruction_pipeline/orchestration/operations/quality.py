"""Every scene at a glance: how good they are, which gates stop them, what they cost. Knows no Dagster."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from statistics import median
from typing import Any

from reconstruction_pipeline.artifacts import SceneReport
from reconstruction_pipeline.artifacts.store import ArtifactStore
from reconstruction_pipeline.artifacts.superseded import made_at
from reconstruction_pipeline.orchestration.names import STAGES

GRADES = ("A", "B", "C", "D", "F")


@dataclass(frozen=True)
class SceneRow:
    """One scene as its last report has it; None where a stage was not reached. `failed_gates` are "stage.gate"."""

    key: str
    reported_at: str
    grade: str
    preset: str
    psnr_holdout_db: float | None
    ssim_holdout: float | None
    registered_ratio: float | None
    splats: int | None
    sog_bytes: int | None
    minutes: float
    fallbacks: int
    warnings: int
    failed_gates: tuple[str, ...]
    sentence: str


def scene_rows(store: ArtifactStore, keys: Iterable[str]) -> Iterator[SceneRow]:
    """The scenes that have a report, in the order of `keys`; reads one small file of each."""
    for key in keys:
        version = store.current_version(SceneReport.KIND, key)
        if version is not None:
            body = (store.root / SceneReport.KIND / key / version / "metrics.json").read_text()
            yield _row(key, version, json.loads(body))


def _row(key: str, version: str, document: dict[str, Any]) -> SceneRow:
    stages = {stage: document.get(stage) or {} for stage in STAGES}
    splats = stages["gaussian_splats"]
    return SceneRow(
        key=key,
        reported_at=made_at(version).isoformat(timespec="seconds"),
        grade=document["grade"],
        preset=document["preset"],
        psnr_holdout_db=splats.get("psnr_holdout_db"),
        ssim_holdout=splats.get("ssim_holdout"),
        registered_ratio=stages["camera_poses"].get("registered_ratio"),
        splats=splats.get("count"),
        sog_bytes=stages["compressed_splats"].get("sog_bytes"),
        minutes=round(sum(stage.get("seconds") or 0.0 for stage in stages.values()) / 60, 2),
        fallbacks=sum((stage.get("fallback_level") or 0) > 0 for stage in stages.values()),
        warnings=len(document["warnings"]),
        failed_gates=tuple(f"{row['stage']}.{row['name']}" for row in document["gates"] if not row["passed"]),
        sentence=(document.get("failed") or {}).get("sentence", ""),
    )


def figures(rows: Sequence[SceneRow], unreported: int) -> dict[str, int | float]:
    """Numbers of all scenes together, which plot over the weeks; medians are left out where there is nothing."""
    grades = Counter(row.grade for row in rows)
    numbers: dict[str, int | float] = {
        "scenes": len(rows) + unreported,
        "scenes_without_report": unreported,
        **{f"grade_{grade.lower()}": grades[grade] for grade in GRADES},
        "share_finished": (len(rows) - grades["F"]) / len(rows) if rows else 0.0,
        "scenes_with_fallback": sum(row.fallbacks > 0 for row in rows),
    }
    for name in ("psnr_holdout_db", "ssim_holdout", "registered_ratio", "minutes", "splats", "sog_bytes"):
        values = [value for row in rows if (value := getattr(row, name)) is not None]
        if values:
            numbers[f"median_{name}"] = float(median(values))
    return numbers


def failed_gate_counts(rows: Sequence[SceneRow]) -> list[tuple[str, int]]:
    """("stage.gate", scenes that fail it), the most frequent first."""
    return Counter(gate for row in rows for gate in row.failed_gates).most_common()


def as_csv(rows: Sequence[SceneRow]) -> str:
    """A table for a spreadsheet, one scene a line."""
    out = io.StringIO()
    writer = csv.DictWriter(out, [field.name for field in fields(SceneRow)], lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow(asdict(row) | {"failed_gates": " ".join(row.failed_gates)})
    return out.getvalue()
