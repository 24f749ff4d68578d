"""The stage: from trained Gaussians to a mesh."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.artifacts.camera_poses import CameraPoses
from reconstruction_pipeline.artifacts.covisibility import select_neighbours
from reconstruction_pipeline.artifacts.depth_maps import DepthMaps
from reconstruction_pipeline.artifacts.errors import StageFailed
from reconstruction_pipeline.artifacts.gaussian_splats import GaussianSplats
from reconstruction_pipeline.artifacts.mesh import Mesh
from reconstruction_pipeline.artifacts.progress import Progress
from reconstruction_pipeline.artifacts.verdict import Verdict
from reconstruction_pipeline.artifacts.views import fit, pinhole_view, read_picture, what_counts
from reconstruction_pipeline.stages.mesh.settings import MeshSettings

if TYPE_CHECKING:
    from reconstruction_pipeline.external.stage import ExternalStage
    from reconstruction_pipeline.kernels.camera import PinholeView
    from reconstruction_pipeline.stages.mesh.files import TriangleMesh
    from reconstruction_pipeline.stages.mesh.region import Region
    from reconstruction_pipeline.stages.mesh.rendered_depth import SurfaceView

Bools = npt.NDArray[np.bool_]

STAGE = "mesh"
NEIGHBOURS = 8
MIN_WEIGHT = 1.0
"""A voxel counts as seen once the cosines of the views that saw it add up to this."""
FLAT_TOLERANCE = 1.6
"""What was made flat in every picture by itself differs more between them than what was rendered, by this factor."""
STRIP_RINGS = 2
"""Strips and fringes of at most twice as many faces from border to border are no surface."""
MOST_TRUNCATION = 1.75
"""Times the narrowest: a wide band fills what is thin."""
SHREDS = 0.05
"""Where the table was removed, parts smaller than this share of the largest are what was left of it."""


def extract_mesh(
    splats: GaussianSplats,
    poses: CameraPoses,
    settings: MeshSettings,
    workspace: Path,
    progress: Progress,
    external: ExternalStage | None = None,
    depth_maps: DepthMaps | None = None,
) -> Mesh:
    """Mesh of the scene, in `workspace`.

    Depth is rendered from every captured view, kept where it is opaque, of one layer, not grazing and
    confirmed by other views, and fused into a signed distance field whose zero level is cleaned, reduced,
    coloured and textured from the pictures. What the masks of `poses` ignore gives neither depth nor colour:
    training did not look at it, so that anything may stand there. `depth_maps` are fused, too, as they are finer, and
    say which surfaces are too plain to be measured: these are made flat. Without them, nothing is, and the metric
    `depth_sources` says so. With `external`, another program makes the surface, which is coloured, textured and judged
    alike. Raises `StageFailed` when nothing is left, MissingRequirement for a
    USDZ without usd-core.
    """
    from reconstruction_pipeline.stages.mesh.gates import measure, verdict_of
    from reconstruction_pipeline.stages.mesh.measured_depth import confirmed, evened_out, measured_surfaces
    from reconstruction_pipeline.stages.mesh.region import FAR_PERCENT, cut_to_object, region_of
    from reconstruction_pipeline.stages.mesh.rendered_depth import keep_agreed, render_depths, without_ignored
    from reconstruction_pipeline.stages.mesh.usd import require_usd

    if settings.usdz:
        require_usd()
    model = poses.model()
    shots = _shots(poses, settings.render_side)
    gaussians = splats.gaussians()
    surfaces = render_depths(
        gaussians, shots.views, settings, lambda share: progress.report(STAGE, 40 * share, 100, "depth")
    )
    neighbours = select_neighbours(model, NEIGHBOURS)
    surfaces = keep_agreed(without_ignored(surfaces, shots.counts), neighbours, settings)
    measured: list[SurfaceView] = []
    if depth_maps is not None and external is None:
        maps = measured_surfaces(depth_maps, model, settings)
        surfaces = evened_out(
            surfaces, maps, shots.pictures, settings,
            lambda share: progress.report(STAGE, 40 + 10 * share, 100, "plain surfaces"),
        )  # fmt: skip
        surfaces = keep_agreed(surfaces, neighbours, settings, FLAT_TOLERANCE)
        measured = confirmed(maps, surfaces, settings)
    cut = cut_to_object(surfaces, settings) if settings.crop or settings.without_table else None
    if cut is not None:
        surfaces, shots, measured = cut.surfaces, shots.without(cut.gone), cut.applied(measured)
    region = region_of(surfaces, settings, 0.0 if cut is not None and cut.box is not None else FAR_PERCENT)
    if external is None:
        vertices, faces, numbers = _surface(surfaces + measured, region, settings, progress)
    else:
        from reconstruction_pipeline.stages.mesh.external import surface_externally

        vertices, faces, numbers = surface_externally(splats, poses, settings, workspace, progress, external)
        vertices, faces = (vertices, faces) if cut is None else cut.trim(vertices, faces)
    mesh = _coloured(vertices, faces, shots, region.voxel, progress)
    quality = measure(mesh, surfaces, model, region.voxel, settings.depth_tolerance)
    metrics = {"backend": "tsdf_cpu", "fallback_level": 0} | quality | numbers
    metrics["depth_sources"] = "rendered and measured" if measured else "rendered alone"
    full = _shots(poses, settings.texture_side)
    metrics |= _write(
        workspace, mesh, full if cut is None else full.without(cut.gone), shots, region, settings, progress
    )
    progress.report(STAGE, 100, 100)
    gates = verdict_of(metrics, settings)
    if cut is not None:
        metrics, gates = metrics | cut.numbers, [*gates, cut.gate]
    return Mesh(workspace, metrics, Verdict.of(gates))


class _Shots(NamedTuple):
    """Cameras, their pictures (H, W, 3), and where these count (H, W; None for everywhere), of one size a view."""

    views: list[PinholeView]
    pictures: list[npt.NDArray[np.uint8]]
    counts: list[Bools | None]

    def without(self, gone: list[Bools]) -> _Shots:
        """The same where what is `gone` (h, w), per view and of any size, does not count."""
        import cv2

        counts: list[Bools | None] = []
        for view, before, part in zip(self.views, self.counts, gone, strict=True):
            size = (view.width, view.height)
            there = cv2.resize(part.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) == 0
            counts.append(there if before is None else there & before)
        return self._replace(counts=counts)


def _shots(poses: CameraPoses, longest_side: int) -> _Shots:
    model = poses.model()
    views = [fit(pinhole_view(model, image), longest_side) for image in model.images]
    pictures = [read_picture(poses.image_path(i.name), view) for i, view in zip(model.images, views, strict=True)]
    counts = [what_counts(poses.mask(i.name), view) for i, view in zip(model.images, views, strict=True)]
    return _Shots(views, pictures, counts)


def _write(
    workspace: Path, mesh: TriangleMesh, full: _Shots, shots: _Shots, region: Region, settings: MeshSettings,
    progress: Progress,
) -> dict[str, Any]:  # fmt: skip
    from reconstruction_pipeline.stages.mesh.files import write_obj, write_ply
    from reconstruction_pipeline.stages.mesh.glb import write_glb
    from reconstruction_pipeline.stages.mesh.preview import write_previews
    from reconstruction_pipeline.stages.mesh.texture import texture_mesh
    from reconstruction_pipeline.stages.mesh.usd import write_usdz

    progress.report(STAGE, 85, 100, "texture")
    texture = texture_mesh(mesh, *full, region.voxel, settings.max_texture)
    progress.report(STAGE, 95, 100, "files")
    workspace.mkdir(parents=True, exist_ok=True)
    write_ply(workspace / "mesh.ply", mesh)
    write_glb(workspace / "mesh.glb", mesh, texture)
    write_obj(workspace / "mesh.obj", mesh, texture)
    if settings.usdz:
        write_usdz(workspace / "mesh.usdz", mesh, texture)
    write_previews(workspace / "previews", mesh, texture, shots.views, shots.pictures)
    return {"texture_px": len(texture.image), "textured_share": round(texture.seen, 4)}


def _surface(
    surfaces: list[SurfaceView], region: Region, settings: MeshSettings, progress: Progress
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int32], dict[str, Any]]:
    from reconstruction_pipeline.stages.mesh import clean
    from reconstruction_pipeline.stages.mesh.denoise import denoise
    from reconstruction_pipeline.stages.mesh.region import EMPTY
    from reconstruction_pipeline.stages.mesh.surface_nets import extract_surface
    from reconstruction_pipeline.stages.mesh.tsdf import DepthView, fuse

    low, high, voxel = region
    truncation = _truncation(surfaces, voxel, settings)
    field = fuse(
        [DepthView(s.depth, s.cosine, s.view) for s in surfaces], low, high, voxel, truncation,
        settings.threads, lambda share: progress.report(STAGE, 50 + 15 * share, 100, "fusing"),
    )  # fmt: skip
    vertices, faces = extract_surface(field, MIN_WEIGHT)
    if len(faces) == 0:
        raise StageFailed(EMPTY)
    progress.report(STAGE, 70, 100, f"{len(faces)} faces")
    extracted = len(faces)
    vertices, faces = clean.without_strips(*clean.compact(vertices, faces), STRIP_RINGS)
    vertices, faces = clean.drop_small_components(vertices, faces)
    vertices, faces = clean.fill_small_holes(vertices, faces, settings.max_hole_edges)
    vertices = clean.smooth(vertices, faces, settings.smoothing_rounds)
    vertices, faces = clean.decimate(vertices, faces, settings.max_faces)
    shreds = SHREDS if settings.without_table else clean.MIN_SHARE
    vertices, faces = clean.drop_small_components(vertices, faces, shreds)
    vertices = denoise(vertices, faces, settings.denoising_rounds, settings.denoising_sigma)
    return vertices, faces, {"extracted_faces": extracted}


def _truncation(surfaces: list[SurfaceView], voxel: float, settings: MeshSettings) -> float:
    """Half the band's width in voxels: views that agree must lie within it, or the surface tears between them."""
    typical = float(np.median([np.median(s.depth[s.depth > 0]) for s in surfaces if s.depth.any()]))
    wanted = settings.depth_tolerance * typical / voxel
    return float(np.clip(wanted, settings.truncation_voxels, MOST_TRUNCATION * settings.truncation_voxels))


def _coloured(
    vertices: npt.NDArray[np.float64], faces: npt.NDArray[np.int32], shots: _Shots, voxel: float, progress: Progress
) -> TriangleMesh:
    from reconstruction_pipeline.stages.mesh import clean
    from reconstruction_pipeline.stages.mesh.colour import colour_vertices
    from reconstruction_pipeline.stages.mesh.files import TriangleMesh

    progress.report(STAGE, 78, 100, "colours")
    normals = clean.vertex_normals(vertices, faces)
    colours = colour_vertices(vertices, faces, normals, *shots, slack=2 * voxel)
    return TriangleMesh(vertices, faces, normals, colours)
