"""The stage: from trained Gaussians to a mesh."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    confirmed by other views, and fused into a signed distance field whose zero level is cleaned, reduced
    and coloured from the pictures. What the masks of `poses` ignore gives neither depth nor colour: training
    did not look at it, so that anything may stand there. Raises `StageFailed` when nothing is left.
    """
    from reconstruction_pipeline.stages.mesh.rendered_depth import keep_agreed, render_depths, without_ignored

    model = poses.model()
    views = [fit(pinhole_view(model, image), settings.render_side) for image in model.images]
    counts = [what_counts(poses.mask(i.name), view) for i, view in zip(model.images, views, strict=True)]
    gaussians = splats.gaussians()
    surfaces = render_depths(gaussians, views, settings, lambda share: progress.report(STAGE, 55 * share, 100, "depth"))
    surfaces = keep_agreed(without_ignored(surfaces, counts), select_neighbours(model, NEIGHBOURS), settings)
    pictures = [read_picture(poses.image_path(i.name), view) for i, view in zip(model.images, views, strict=True)]
    return mesh_of_surfaces(surfaces, poses, pictures, counts, settings, workspace, progress)


def mesh_of_surfaces(
    surfaces: list[SurfaceView], poses: CameraPoses, pictures: list[npt.NDArray[np.uint8]], counts: list[Bools | None],
    settings: MeshSettings, workspace: Path, progress: Progress,
) -> Mesh:  # fmt: skip
    """The part after rendering: fuse the depth of `surfaces`, extract, clean, colour by `pictures` where they count,
    write, measure.
    """
    from reconstruction_pipeline.stages.mesh.files import write_glb, write_obj, write_ply
    from reconstruction_pipeline.stages.mesh.gates import measure, verdict_of
    from reconstruction_pipeline.stages.mesh.preview import write_previews

    low, high, voxel = region_of(surfaces, settings)
    views = [surface.view for surface in surfaces]
    mesh, numbers = _surface(surfaces, views, pictures, counts, low, high, voxel, settings, progress)
    progress.report(STAGE, 90, 100, "files")
    workspace.mkdir(parents=True, exist_ok=True)
    write_ply(workspace / "mesh.ply", mesh)
    write_glb(workspace / "mesh.glb", mesh)
    write_obj(workspace / "mesh.obj", mesh)
    write_previews(workspace / "previews", mesh, views, pictures)
    metrics = measure(mesh, surfaces, poses.model(), voxel) | numbers
    metrics |= {"backend": "tsdf_cpu", "fallback_level": 0}
    progress.report(STAGE, 100, 100)
    return Mesh(workspace, metrics, Verdict.of(verdict_of(metrics, settings)))


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
    surfaces: list[SurfaceView], views: list[PinholeView], pictures: list[npt.NDArray[np.uint8]],
    counts: Sequence[Bools | None], low: npt.NDArray[np.float64], high: npt.NDArray[np.float64], voxel: float,
    settings: MeshSettings, progress: Progress,
) -> tuple[TriangleMesh, dict[str, Any]]:  # fmt: skip
    from reconstruction_pipeline.stages.mesh import clean
    from reconstruction_pipeline.stages.mesh.colour import colour_vertices
    from reconstruction_pipeline.stages.mesh.files import TriangleMesh
    from reconstruction_pipeline.stages.mesh.surface_nets import extract_surface
    from reconstruction_pipeline.stages.mesh.tsdf import DepthView, fuse

    field = fuse(
        [DepthView(s.depth, s.cosine, s.view) for s in surfaces], low, high, voxel, settings.truncation_voxels,
        settings.threads, lambda share: progress.report(STAGE, 55 + 15 * share, 100, "fusing"),
    )  # fmt: skip
    vertices, faces = extract_surface(field, MIN_WEIGHT)
    if len(faces) == 0:
        raise StageFailed(_EMPTY)
    progress.report(STAGE, 75, 100, f"{len(faces)} faces")
    extracted = len(faces)
    vertices, faces = clean.drop_small_components(*clean.compact(vertices, faces))
    vertices, faces = clean.fill_small_holes(vertices, faces, settings.max_hole_edges)
    vertices = clean.smooth(vertices, faces, settings.smoothing_rounds)
    vertices, faces = clean.decimate(vertices, faces, settings.max_faces)
    vertices, faces = clean.drop_small_components(vertices, faces)
    progress.report(STAGE, 82, 100, "colours")
    normals = clean.vertex_normals(vertices, faces)
    colours = colour_vertices(vertices, faces, normals, views, pictures, 2 * voxel, counts)
    return TriangleMesh(vertices, faces, normals, colours), {"extracted_faces": extracted}
