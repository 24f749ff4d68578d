"""Compile the stage's kernels ahead of time, so that the first video does not wait for it."""

from __future__ import annotations

import numpy as np


def compile_all() -> None:
    """Make a tiny mesh once, which fills numba's cache on disk; about 11 s of one core at first.

    The rasteriser of the Gaussians is not part of it: see `kernels.warmup`.
    """
    from reconstruction_pipeline.kernels.camera import PinholeView
    from reconstruction_pipeline.stages.mesh.clean import vertex_normals
    from reconstruction_pipeline.stages.mesh.colour import colour_vertices
    from reconstruction_pipeline.stages.mesh.denoise import denoise
    from reconstruction_pipeline.stages.mesh.files import TriangleMesh
    from reconstruction_pipeline.stages.mesh.measured_depth import evened_out
    from reconstruction_pipeline.stages.mesh.rendered_depth import keep_agreed, surface_view
    from reconstruction_pipeline.stages.mesh.settings import MeshSettings
    from reconstruction_pipeline.stages.mesh.surface_nets import extract_surface
    from reconstruction_pipeline.stages.mesh.texture import texture_mesh
    from reconstruction_pipeline.stages.mesh.tsdf import DepthView, fuse
    from reconstruction_pipeline.stages.mesh.zbuffer import render_mesh

    view = PinholeView(np.eye(3), np.zeros(3), 40.0, 40.0, 24.0, 16.0, 48, 32)
    settings = MeshSettings(threads=1)
    wall = np.full((32, 48), 2, np.float32)
    surfaces = [surface_view(np.ones_like(wall), wall, view, settings)] * 2
    blank = [np.zeros((32, 48, 3), np.uint8)] * 2
    surfaces = evened_out(surfaces, list(surfaces), blank, settings, lambda _: None)
    surfaces = keep_agreed(surfaces, [[1], [0]], settings)
    field = fuse([DepthView(s.depth, s.cosine, s.view) for s in surfaces], np.full(3, -1.0), np.full(3, 3.0), 0.1, 4, 1)
    vertices, faces = extract_surface(field, 1.0)
    colours = np.zeros((32, 48, 3), np.uint8)
    denoise(vertices, faces, 1, 0.3)
    normals = vertex_normals(vertices, faces)
    painted = colour_vertices(vertices, faces, normals, [view], [colours], [None], 0.1)
    texture_mesh(TriangleMesh(vertices, faces, normals, painted), [view], [colours], [None], 0.1)
    render_mesh(vertices, faces, np.ones((len(vertices), 6), np.float32), view)
