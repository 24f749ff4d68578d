"""Where the fetched viewer lies, and which one it should be."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from reconstruction_pipeline.artifacts.errors import MissingRequirement

HERE = Path(__file__).parent
VENDOR = HERE / "vendor"
PACKAGE = "@playcanvas/supersplat-viewer"
COMMAND = "python -m reconstruction_pipeline.viewer.install"


def template(folder: Path = VENDOR) -> str:
    """The viewer's page with marks for a scene; raises `MissingRequirement` with the command that makes it."""
    path = folder / "viewer_template.html"
    if installed_manifest(folder) != wanted_manifest() or not path.is_file():
        raise MissingRequirement(f"{path}: this version's viewer is not installed; run '{COMMAND}' once, online.")
    return path.read_text(encoding="utf-8")


def wanted_manifest() -> dict[str, Any]:
    """What should be installed: the package's version and hash, and the hash of what makes the page of it."""
    locked = json.loads((HERE / "package-lock.json").read_text())["packages"][f"node_modules/{PACKAGE}"]
    recipe = hashlib.sha256((HERE / "render_template.mjs").read_bytes()).hexdigest()
    return {"package": PACKAGE, "version": locked["version"], "integrity": locked["integrity"], "recipe": recipe}


def installed_manifest(folder: Path = VENDOR) -> dict[str, Any] | None:
    """What is installed, or None."""
    try:
        result: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
        return result
    except (OSError, ValueError):
        return None
