"""A surface made by another program, coloured, textured and judged like ours."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np

from reconstruction_pipeline.artifacts.camera_poses import CameraPoses
from reconstruction_pipeline.artifacts.gaussian_splats import GaussianSplats
from reconstruction_pipeline.artifacts.progress import Progress
from reconstruction_pipeline.artifacts.projects.handover import hand_over
from reconstruction_pipeline.external.failures import rejected
from reconstruction_pipeline.external.run import LOG, run_external
from reconstruction_pipeline.external.stage import ExternalStage
from reconstruction_pipeline.stages.mesh import clean
from reconstruction_pipeline.stages.mesh.settings import MeshSettings


def surface_externally(
    splats: GaussianSplats,
    poses: CameraPoses,
    settings: MeshSettings,
    workspace: Path,
    progress: Progress,
    external: ExternalStage,
) -> tuple[clean.Vertices, clean.Faces, dict[str, Any]]:
    """Vertices (V, 3) and faces (F, 3) in the world of the splats, and the program's figures.

    Its file is thinned to `settings.max_faces`; its colours are not taken, the photographs are better. Raises what
    `run_external` raises, and `StageFailed` for a file that is no mesh.
    """
    workspace.mkdir(parents=True, exist_ok=True)
    work, log = workspace / ".external", workspace / LOG
    inputs, reads = {}, external.program.reads
    if "splats" in reads:
        inputs["splats"] = work / "input" / "scene.ply"
        inputs["splats"].parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(splats.path("scene.ply"), inputs["splats"])
    if form := reads.get("project"):
        inputs["project"] = work / "input" / "project"
        hand_over(poses, inputs["project"], form, [image.name for image in poses.model().images])
    values = {"max_faces": settings.max_faces, "resolution": settings.resolution}
    try:
        outcome = run_external(external, inputs, values, work, log, progress)
        (path,) = outcome.results.values()
        vertices, faces = _read(path, external, log)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    read = len(faces)
    vertices, faces = clean.decimate(*clean.compact(vertices, faces), settings.max_faces)
    return vertices, faces, {"extracted_faces": read, **outcome.metrics(external)}


def _read(path: Path, external: ExternalStage, log: Path) -> tuple[clean.Vertices, clean.Faces]:
    import trimesh

    try:
        mesh = trimesh.load_mesh(path, process=False)
        if hasattr(mesh, "to_geometry"):
            mesh = mesh.to_geometry()  # a GLB may hold several
        vertices, faces = np.asarray(mesh.vertices, np.float64), np.asarray(mesh.faces, np.int32)
    except Exception as error:  # trimesh raises whatever its parsers meet
        raise rejected(external, log, f"left a '{path.name}' that is no mesh ({error})") from error
    if len(faces) == 0:
        raise rejected(external, log, f"left '{path.name}' without a single face")
    if not np.isfinite(vertices).all():
        raise rejected(external, log, f"left '{path.name}' with coordinates that are not finite")
    return vertices, faces
