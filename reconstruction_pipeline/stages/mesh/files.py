"""The mesh as PLY, GLB and OBJ.

`mesh.ply` is in the delivered y-down world, beside `scene.ply`. `mesh.glb` is y-up, as glTF demands, and
`mesh.obj` is y-up too, as the programs that read it expect: both are turned by half a turn about X,
(x, y, z) -> (x, -y, -z), which keeps the handedness and so the winding.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

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


def write_obj(path: Path, mesh: TriangleMesh) -> None:
    """Y-up OBJ with the common extension of colours (0..1, sRGB) behind the positions, and normals."""
    colours = mesh.colours / 255.0
    with path.open("w") as file:
        file.write("# y-up, right-handed; vertex lines are x y z r g b\n")
        np.savetxt(file, np.hstack([mesh.vertices * TO_Y_UP, colours]), "v %.6g %.6g %.6g %.4f %.4f %.4f")
        np.savetxt(file, mesh.normals * TO_Y_UP, "vn %.4f %.4f %.4f")
        np.savetxt(file, np.repeat(mesh.faces + 1, 2, axis=1), "f %d//%d %d//%d %d//%d")


def write_glb(path: Path, mesh: TriangleMesh) -> None:
    """Y-up binary glTF 2.0. Colours become linear, as the format wants them, in 16 bits; light is already in them,
    so the material is unlit (KHR_materials_unlit), or rough and matt for readers without the extension."""
    positions = (mesh.vertices * TO_Y_UP).astype("<f4")
    arrays = [
        (positions, 34962, 5126, "VEC3"),
        ((mesh.normals * TO_Y_UP).astype("<f4"), 34962, 5126, "VEC3"),
        (_linear_rgba(mesh.colours), 34962, 5123, "VEC4"),
        (mesh.faces.astype("<u4").ravel(), 34963, 5125, "SCALAR"),
    ]
    views, accessors, offset = [], [], 0
    for index, (array, target, component, kind) in enumerate(arrays):
        views.append({"buffer": 0, "byteOffset": offset, "byteLength": array.nbytes, "target": target})
        accessors.append({"bufferView": index, "componentType": component, "count": len(array), "type": kind})
        offset += array.nbytes
    accessors[0] |= {"min": positions.min(axis=0).tolist(), "max": positions.max(axis=0).tolist()}
    accessors[2]["normalized"] = True
    document = {
        "asset": {"version": "2.0", "generator": "reconstruction_pipeline"},
        "extensionsUsed": ["KHR_materials_unlit"],
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "name": "scene"}],
        "meshes": [
            {"primitives": [{"attributes": {"POSITION": 0, "NORMAL": 1, "COLOR_0": 2}, "indices": 3, "material": 0}]}
        ],
        "materials": [
            {
                "pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 1.0},
                "doubleSided": True,
                "extensions": {"KHR_materials_unlit": {}},
            }
        ],
        "accessors": accessors,
        "bufferViews": views,
        "buffers": [{"byteLength": offset}],
    }
    text = json.dumps(document, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    binary = b"".join(array.tobytes() for array, *_ in arrays)  # every part is a multiple of four bytes
    with path.open("wb") as file:
        file.write(struct.pack("<4sII", b"glTF", 2, 28 + len(text) + len(binary)))
        file.write(struct.pack("<I4s", len(text), b"JSON") + text)
        file.write(struct.pack("<I4s", len(binary), b"BIN\0") + binary)


def _linear_rgba(colours: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint16]:
    srgb = colours / 255.0
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    rgba = np.column_stack([linear, np.ones(len(linear))])
    return np.rint(rgba * 65535).astype("<u2")
