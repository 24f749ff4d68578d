"""The stage: from trained Gaussians to a mesh."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.artifacts.camera_poses import CameraPoses
from reconstruction_pipeline.artifacts.covisibility import select_neighbours
from reconstruction_pipeline.artifacts.errors import StageFailed
from reconstruction_pipeline.artifacts.gaussian_splats import GaussianSplats
from reconstruction_pipeline.artifacts.mesh import Mesh
from reconstruction_pipeline.artifacts.progress import Progress
from reconstruction_pipeline.artifacts.verdict import Verdict
from reconstruction_pipeline.artifacts.views import fit, pinhole_view, read_picture, what_counts
from reconstruction_pipeline.stages.mesh.settings import MeshSettings

if TYPE_CHECKING:
    from reconstruction_pipeline.kernels.camera import PinholeView
    from reconstruction_pipeline.stages.mesh.files import TriangleMesh
    from reconstruction_pipeline.stages.mesh.rendered_depth import SurfaceView

Bools = npt.NDArray[np.bool_]

STAGE = "mesh"
NEIGHBOURS = 8
MIN_WEIGHT = 1.0
"""A voxel counts as seen once the cosines of the views that saw it add up to this."""
MARGIN = 0.05
SAMPLE_STEP = 7
_EMPTY = (
    "mesh: the Gaussians have no surface that several views agree on; look at the renders of gaussian_splats, "
    "train longer, or film with more overlap."
)


def extract_mesh(
    splats: GaussianSplats, poses: CameraPoses, settings: MeshSettings, workspace: Path, progress: Progress
) -> Mesh:
    """Mesh of the scene, in `workspace`.

    Depth is rendered from every captured view, kept where it is opaque, of one layer, not grazing and
    confirmed by other views, and fused into a signed distance field whose zero level is cleaned, reduced,
    coloured and textured from the pictures. What the masks of `poses` ignore gives neither depth nor colour:
    training did not look at it, so that anything may stand there. Raises `StageFailed` when nothing is left.
    """
    from reconstruction_pipeline.stages.mesh.gates import measure, verdict_of
    from reconstruction_pipeline.stages.mesh.rendered_depth import keep_agreed, render_depths, without_ignored

    model = poses.model()
    shots = _shots(poses, settings.render_side)
    gaussians = splats.gaussians()
    surfaces = render_depths(
        gaussians, shots.views, settings, lambda share: progress.report(STAGE, 50 * share, 100, "depth")
    )
    surfaces = keep_agreed(without_ignored(surfaces, shots.counts), select_neighbours(model, NEIGHBOURS), settings)
    low, high, voxel = region_of(surfaces, settings)
    mesh, numbers = _surface(surfaces, shots, low, high, voxel, settings, progress)
    metrics = measure(mesh, surfaces, model, voxel) | numbers
    metrics |= {"backend": "tsdf_cpu", "fallback_level": 0}
    metrics |= _write(workspace, mesh, poses, shots, voxel, settings, progress)
    progress.report(STAGE, 100, 100)
    return Mesh(workspace, metrics, Verdict.of(verdict_of(metrics, settings)))


class _Shots(NamedTuple):
    """Cameras, their pictures (H, W, 3), and where these count (H, W; None for everywhere), of one size a view."""

    views: list[PinholeView]
    pictures: list[npt.NDArray[np.uint8]]
    counts: list[Bools | None]


def _shots(poses: CameraPoses, longest_side: int) -> _Shots:
    model = poses.model()
    views = [fit(pinhole_view(model, image), longest_side) for image in model.images]
    pictures = [read_picture(poses.image_path(i.name), view) for i, view in zip(model.images, views, strict=True)]
    counts = [what_counts(poses.mask(i.name), view) for i, view in zip(model.images, views, strict=True)]
    return _Shots(views, pictures, counts)


def _write(
    workspace: Path, mesh: TriangleMesh, poses: CameraPoses, shots: _Shots, voxel: float, settings: MeshSettings,
    progress: Progress,
) -> dict[str, Any]:  # fmt: skip
    from reconstruction_pipeline.stages.mesh.files import write_obj, write_ply
    from reconstruction_pipeline.stages.mesh.glb import write_glb
    from reconstruction_pipeline.stages.mesh.preview import write_previews
    from reconstruction_pipeline.stages.mesh.texture import texture_mesh

    progress.report(STAGE, 85, 100, "texture")
    full = _shots(poses, settings.texture_side)
    texture = texture_mesh(mesh, full.views, full.pictures, full.counts, voxel, settings.max_texture)
    progress.report(STAGE, 95, 100, "files")
    workspace.mkdir(parents=True, exist_ok=True)
    write_ply(workspace / "mesh.ply", mesh)
    write_glb(workspace / "mesh.glb", mesh, texture)
    write_obj(workspace / "mesh.obj", mesh, texture)
    write_previews(workspace / "previews", mesh, texture, shots.views, shots.pictures)
    return {"texture_px": len(texture.image), "textured_share": round(texture.seen, 4)}


def region_of(
    surfaces: list[SurfaceView], settings: MeshSettings
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], float]:
    """Box (3,), (3,) of what is seen, without the farthest percent, and the voxel's edge for it, world units.

    The voxel is never finer than the rendered depth: half of the views' pixels must be smaller.
    """
    points, footprints = [], []
    for surface in surfaces:
        depth, view = surface.depth[::SAMPLE_STEP, ::SAMPLE_STEP].astype(np.float64), surface.view
        rows, columns = np.nonzero(depth)
        z = depth[rows, columns]
        x = (SAMPLE_STEP * columns + 0.5 - view.cx) / view.fx * z
        y = (SAMPLE_STEP * rows + 0.5 - view.cy) / view.fy * z
        points.append(np.column_stack([x, y, z]) @ view.rotation + view.center)
        footprints.append(z / view.fx)
    cloud = np.concatenate(points)
    if len(cloud) < 100:
        raise StageFailed(_EMPTY)
    low, high = np.percentile(cloud, [1, 99], axis=0)
    longest = float((high - low).max())
    voxel = max(longest / settings.resolution, float(np.median(np.concatenate(footprints))))
    return low - MARGIN * longest, high + MARGIN * longest, voxel


def _surface(
    surfaces: list[SurfaceView], shots: _Shots, low: npt.NDArray[np.float64], high: npt.NDArray[np.float64],
    voxel: float, settings: MeshSettings, progress: Progress,
) -> tuple[TriangleMesh, dict[str, Any]]:  # fmt: skip
    from reconstruction_pipeline.stages.mesh import clean
    from reconstruction_pipeline.stages.mesh.colour import colour_vertices
    from reconstruction_pipeline.stages.mesh.denoise import denoise
    from reconstruction_pipeline.stages.mesh.files import TriangleMesh
    from reconstruction_pipeline.stages.mesh.surface_nets import extract_surface
    from reconstruction_pipeline.stages.mesh.tsdf import DepthView, fuse

    field = fuse(
        [DepthView(s.depth, s.cosine, s.view) for s in surfaces], low, high, voxel, settings.truncation_voxels,
        settings.threads, lambda share: progress.report(STAGE, 50 + 15 * share, 100, "fusing"),
    )  # fmt: skip
    vertices, faces = extract_surface(field, MIN_WEIGHT)
    if len(faces) == 0:
        raise StageFailed(_EMPTY)
    progress.report(STAGE, 70, 100, f"{len(faces)} faces")
    extracted = len(faces)
    vertices, faces = clean.drop_small_components(*clean.compact(vertices, faces))
    vertices, faces = clean.fill_small_holes(vertices, faces, settings.max_hole_edges)
    vertices = clean.smooth(vertices, faces, settings.smoothing_rounds)
    vertices, faces = clean.decimate(vertices, faces, settings.max_faces)
    vertices, faces = clean.drop_small_components(vertices, faces)
    vertices = denoise(vertices, faces, settings.denoising_rounds, settings.denoising_sigma)
    progress.report(STAGE, 78, 100, "colours")
    normals = clean.vertex_normals(vertices, faces)
    colours = colour_vertices(vertices, faces, normals, *shots, slack=2 * voxel)
    return TriangleMesh(vertices, faces, normals, colours), {"extracted_faces": extracted}
