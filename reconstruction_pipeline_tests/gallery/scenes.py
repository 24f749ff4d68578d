"""Folders of deliverables, as runs leave them."""

from __future__ import annotations

import json
from typing import Any

from upath import UPath

FILES = {"viewer.html": 4_000_000, "scene.ply": 12_000_000, "scene.sog": 1_234_567, "mesh.glb": 5_600_000}


def metrics(key: str, grade: str = "B", psnr: float = 26.25, made: str = "2031-02-03T04:05:06+00:00") -> dict[str, Any]:
    return {
        "key": key,
        "grade": grade,
        "warnings": ["mesh: The mesh has 12 pieces.", "depth_maps: Depth is thin."],
        "failed": None,
        "made_at": made,
        "files": {**FILES, "report.html": None, "metrics.json": None, "thumbnail.jpg": None},
        "gaussian_splats": {"count": 61_234, "psnr_holdout_db": psnr},
        "compressed_splats": {"sog_bytes": 1_234_567},
    }


def failed(key: str, sentence: str = "All frames are black; film in light.") -> dict[str, Any]:
    """A scene that was stopped before anything was made."""
    found = metrics(key, "F") | {"failed": {"stage": "keyframes", "sentence": sentence, "advice": ""}}
    found |= {"warnings": [], "gaussian_splats": None, "compressed_splats": None}
    return found | {"files": {"report.html": None, "metrics.json": None}}


def deliver(folder: UPath, document: dict[str, Any], picture: bytes = b"") -> None:
    """One scene's folder with the files that it names, empty ones; with a `picture` only that one is there."""
    scene = folder / document["key"]
    scene.mkdir(parents=True, exist_ok=True)
    for name in ("thumbnail.jpg",) if picture else document.get("files", {}):
        (scene / name).write_bytes(picture)
    (scene / "metrics.json").write_text(json.dumps(document))
