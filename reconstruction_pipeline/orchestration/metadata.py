"""An artifact's numbers and pictures as Dagster metadata."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg

from reconstruction_pipeline.artifacts import Artifact
from reconstruction_pipeline.artifacts.plain import plain

MAX_PREVIEW_BYTES = 60_000
"""Each lies in the event log and is loaded with the asset's page; larger pictures stay in the artifact's folder."""


def metadata_of(artifact: Artifact) -> dict[str, Any]:
    """Metrics under their own names (numbers plot over partitions), previews, and the folder."""
    pictures = {path.stem: _picture(path) for path in artifact.previews() if path.stat().st_size <= MAX_PREVIEW_BYTES}
    return {
        **_numbers(artifact.metrics),
        **pictures,
        "version": artifact.version,
        "folder": dg.MetadataValue.path(str(artifact.folder)),
    }


def _numbers(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers, texts and flags as they are; missing figures are left out, structures become JSON."""
    return {
        name: value if isinstance(value, bool | int | float | str) else dg.MetadataValue.json(value)
        for name, value in plain(metrics).items()
        if value is not None
    }


def _picture(path: Path) -> dg.MarkdownMetadataValue:
    data = base64.b64encode(path.read_bytes()).decode()
    return dg.MetadataValue.md(f"![{path.stem}](data:image/jpeg;base64,{data})")
