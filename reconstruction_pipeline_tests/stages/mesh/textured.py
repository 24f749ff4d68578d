"""A textured mesh in which no corner looks like another: a roof of two faces, half red and half blue."""

from __future__ import annotations

import numpy as np

from reconstruction_pipeline.stages.mesh.clean import vertex_normals
from reconstruction_pipeline.stages.mesh.files import TriangleMesh
from reconstruction_pipeline.stages.mesh.texture import Texture

# Looking along +z with y down: the ridge runs away from the camera; counter-clockwise from above.
VERTICES = np.array(
    [[-1.0, 0.5, 2.0], [0.0, 0.0, 2.0], [0.0, 0.0, 4.0], [-1.0, 0.5, 4.0], [1.0, 0.5, 2.0], [1.0, 0.5, 4.0]]
)
FACES = np.array([[0, 1, 2], [0, 2, 3], [1, 4, 5], [1, 5, 2]], np.int32)
RED, BLUE = (210, 30, 20), (20, 40, 220)


def roof() -> tuple[TriangleMesh, Texture]:
    """The left side is red, the right side is blue."""
    image = np.zeros((64, 64, 3), np.uint8)
    image[:, :32], image[:, 32:] = RED, BLUE
    left, right = [(0.05, 0.05), (0.45, 0.05), (0.45, 0.95), (0.05, 0.95)], [(0.55, 0.05), (0.95, 0.05), (0.95, 0.95)]
    uv = np.array([*left, *right, (0.55, 0.95)])
    vertex = np.array([0, 1, 2, 3, 1, 4, 5, 2], np.int32)
    corners = np.array([[0, 1, 2], [0, 2, 3], [4, 5, 6], [4, 6, 7]], np.int32)
    colours = np.full((6, 3), 128, np.uint8)
    mesh = TriangleMesh(VERTICES, FACES, vertex_normals(VERTICES, FACES), colours)
    assert (vertex[corners] == FACES).all()
    return mesh, Texture(image, uv, vertex, corners, 1.0)
