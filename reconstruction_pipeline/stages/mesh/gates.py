"""What the mesh is worth: connectedness, place and completeness."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from reconstruction_pipeline.artifacts.colmap import ColmapModel
from reconstruction_pipeline.artifacts.verdict import Gate
from reconstruction_pipeline.stages.mesh.clean import component_of_faces
from reconstruction_pipeline.stages.mesh.settings import MeshSettings

if TYPE_CHECKING:
    from reconstruction_pipeline.stages.mesh.files import TriangleMesh
    from reconstruction_pipeline.stages.mesh.rendered_depth import SurfaceView

COVERAGE_VIEWS = 16
WITHIN_VOXELS = 2.0
MIN_INSIDE = 0.99


def measure(
    mesh: TriangleMesh, surfaces: list[SurfaceView], model: ColmapModel, voxel: float, tolerance: float
) -> dict[str, Any]:
    """Numbers of the mesh; `coverage` is against the depth that was fused, `inside_bounds` against twice the box
    of cameras and sparse points. `tolerance`: the share of their depth by which views may differ that agree."""
    _, sizes = component_of_faces(mesh.faces, len(mesh.vertices))
    known = np.vstack([model.xyz, model.centers])
    low, high = known.min(axis=0), known.max(axis=0)
    margin = 0.5 * (high - low)
    inside = np.all((mesh.vertices >= low - margin) & (mesh.vertices <= high + margin), axis=1)
    return {
        "vertices": len(mesh.vertices),
        "faces": len(mesh.faces),
        "components": len(sizes),
        "largest_component_share": round(float(sizes.max() / sizes.sum()), 4),
        "inside_bounds": round(float(inside.mean()), 4),
        "coverage": round(coverage(mesh, surfaces, WITHIN_VOXELS * voxel, tolerance), 4),
        "voxel_size": float(f"{voxel:.5g}"),
    }


def coverage(mesh: TriangleMesh, surfaces: list[SurfaceView], reach: float, tolerance: float) -> float:
    """Share of the known depth of evenly chosen views that the mesh meets along the ray, within `reach` or, where that
    is more, within the share `tolerance` of the depth: the mesh lies between views that agree.
    """
    from reconstruction_pipeline.stages.mesh.zbuffer import render_mesh

    nothing = np.empty((len(mesh.vertices), 0), np.float32)
    met, known = 0, 0
    for i in np.unique(np.linspace(0, len(surfaces) - 1, COVERAGE_VIEWS).round().astype(int)):
        depth = surfaces[i].depth
        found = render_mesh(mesh.vertices, mesh.faces, nothing, surfaces[i].view).depth
        known += int(np.count_nonzero(depth))
        met += int(
            np.count_nonzero((depth > 0) & (found > 0) & (np.abs(found - depth) < np.maximum(reach, tolerance * depth)))
        )
    return met / max(known, 1)


def verdict_of(metrics: dict[str, Any], settings: MeshSettings) -> list[Gate]:
    """Gates of a mesh that is not empty (an empty one fails the stage); all warn."""
    share, inside, covered = metrics["largest_component_share"], metrics["inside_bounds"], metrics["coverage"]
    return [
        Gate("mesh_not_empty", metrics["faces"] > 0, "warn", f"{metrics['faces']} faces.", metrics["faces"], 1),
        Gate(
            "mesh_dominant_component",
            share >= settings.accepted_dominance,
            "warn",
            f"the largest of {metrics['components']} connected parts has {100 * share:.0f} % of the faces.",
            share,
            settings.accepted_dominance,
            "The surfaces do not join: film what lies between them, too.",
        ),
        Gate(
            "mesh_inside_bounds",
            inside >= MIN_INSIDE,
            "warn",
            f"{100 * inside:.1f} % of the vertices lie inside the scene.",
            inside,
            MIN_INSIDE,
            "Far parts are unreliable: crop the mesh.",
        ),
        Gate(
            "mesh_coverage",
            covered >= settings.accepted_coverage,
            "warn",
            f"the mesh meets {100 * covered:.0f} % of the depth that the views agree on.",
            covered,
            settings.accepted_coverage,
            "Thin or far things are finer than a voxel: choose a preset with a higher resolution.",
        ),
    ]
