"""The mesh as PLY and OBJ.

`mesh.ply` is in the delivered y-down world, beside `scene.ply`. `mesh.obj` is y-up, as the programs that read it
expect: turned by half a turn about X, (x, y, z) -> (x, -y, -z), which keeps the handedness and so the winding.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from reconstruction_pipeline.stages.mesh.texture import Texture

JPEG_QUALITY = 92
TO_Y_UP = np.array([1.0, -1.0, -1.0])


class TriangleMesh(NamedTuple):
    """`vertices` (V, 3) float64 in the y-down world; `faces` (F, 3) int32, counter-clockwise from the free side;
    `normals` (V, 3) float32, unit; `colours` (V, 3) uint8 sRGB."""

    vertices: npt.NDArray[np.float64]
    faces: npt.NDArray[np.int32]
    normals: npt.NDArray[np.float32]
    colours: npt.NDArray[np.uint8]


def write_ply(path: Path, mesh: TriangleMesh) -> None:
    """Binary little-endian PLY with normals and colours, in the y-down world."""
    header = (
        "ply\nformat binary_little_endian 1.0\ncomment y-down world, gravity along +y\n"
        f"element vertex {len(mesh.vertices)}\n"
        + "".join(f"property float {name}\n" for name in ("x", "y", "z", "nx", "ny", "nz"))
        + "".join(f"property uchar {name}\n" for name in ("red", "green", "blue"))
        + f"element face {len(mesh.faces)}\nproperty list uchar int vertex_indices\nend_header\n"
    )
    vertices = np.empty(len(mesh.vertices), [("p", "<f4", 3), ("n", "<f4", 3), ("c", "u1", 3)])
    vertices["p"], vertices["n"], vertices["c"] = mesh.vertices, mesh.normals, mesh.colours
    faces = np.empty(len(mesh.faces), [("count", "u1"), ("corner", "<i4", 3)])
    faces["count"], faces["corner"] = 3, mesh.faces
    path.write_bytes(header.encode() + vertices.tobytes() + faces.tobytes())


def write_obj(path: Path, mesh: TriangleMesh, texture: Texture | None = None) -> None:
    """Y-up OBJ with the common extension of colours (0..1, sRGB) behind the positions, and normals.

    With a texture, `<name>.mtl` and `<name>.jpg` are written beside it.
    """
    colours = mesh.colours / 255.0
    vertex = mesh.faces + 1
    with path.open("w") as file:
        file.write("# y-up, right-handed; vertex lines are x y z r g b\n")
        if texture is not None:
            file.write(f"mtllib {path.stem}.mtl\nusemtl scene\n")
        np.savetxt(file, np.hstack([mesh.vertices * TO_Y_UP, colours]), "v %.6g %.6g %.6g %.4f %.4f %.4f")
        np.savetxt(file, mesh.normals * TO_Y_UP, "vn %.4f %.4f %.4f")
        if texture is None:
            np.savetxt(file, np.repeat(vertex, 2, axis=1), "f %d//%d %d//%d %d//%d")
            return
        # OBJ counts from the bottom of the picture.
        np.savetxt(file, np.column_stack([texture.uv[:, 0], 1.0 - texture.uv[:, 1]]), "vt %.6f %.6f")
        corners = np.stack([vertex, texture.corners + 1, vertex], axis=2).reshape(len(vertex), 9)
        np.savetxt(file, corners, "f %d/%d/%d %d/%d/%d %d/%d/%d")
    material = f"newmtl scene\nKa 0 0 0\nKd 1 1 1\nKs 0 0 0\nillum 1\nmap_Kd {path.stem}.jpg\n"
    path.with_suffix(".mtl").write_text(material)
    path.with_suffix(".jpg").write_bytes(jpeg_of(texture.image))


def jpeg_of(image: npt.NDArray[np.uint8]) -> bytes:
    """A texture (H, W, 3) RGB as JPEG."""
    import cv2

    encoded: bytes = cv2.imencode(".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()
    return encoded
