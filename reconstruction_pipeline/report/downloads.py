"""The delivered files: their names for people, in the order in which people ask for them, and their sizes."""

from __future__ import annotations

from collections.abc import Mapping

from reconstruction_pipeline.report.inputs import ReportInputs

LABELS: Mapping[str, str] = {
    "viewer.html": "Open the scene",
    "scene.ply": "Splats, PLY",
    "scene.sog": "Splats, SOG",
    "scene.spz": "Splats, SPZ",
    "scene.glb": "Splats, glTF",
    "scene.compressed.ply": "Splats, compressed PLY",
    "scene.splat": "Splats, SPLAT",
    "scene.usdz": "Splats, USDZ",
    "mesh.glb": "Mesh, glTF",
    "mesh.ply": "Mesh, PLY",
    "mesh.obj": "Mesh, OBJ",
    "mesh.mtl": "Material of the OBJ",
    "mesh.jpg": "Texture of the OBJ",
    "mesh.usdz": "Mesh, USDZ",
    "streamed": "Levels of detail, for a web server",
    "colmap": "COLMAP project",
    "transforms.json": "Cameras, JSON",
    "metrics.json": "Numbers, JSON",
}

# Pages and their pictures: opened, not taken away.
NOT_DOWNLOADS = frozenset({"viewer.html", "report.html", "thumbnail.jpg"})


def sizes(inputs: ReportInputs) -> dict[str, int | None]:
    """Name -> bytes of the files that are delivered beside the report; None where no artifact holds the file yet."""
    found: dict[str, int | None] = {}
    for name in inputs.links:
        files = (artifact.path(name) for artifact in inputs.artifacts.values())
        found[name] = next((file.stat().st_size for file in files if file.is_file()), None)
    return found
