"""The mesh as binary glTF 2.0, textured or with colours at its vertices.

Y-up, as glTF demands: turned by half a turn about X, (x, y, z) -> (x, -y, -z), which keeps the handedness and so the
winding. Light is already in the colours, so the material is unlit (KHR_materials_unlit), or rough and matt for
readers without the extension.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.stages.mesh.files import TO_Y_UP, TriangleMesh, jpeg_of
from reconstruction_pipeline.stages.mesh.texture import Texture

FLOAT, USHORT, UINT = 5126, 5123, 5125
ARRAY_BUFFER, ELEMENT_ARRAY_BUFFER = 34962, 34963


class _Buffer:
    """The binary part and what describes it."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.views: list[dict[str, Any]] = []
        self.accessors: list[dict[str, Any]] = []
        self.length = 0

    def add(self, data: bytes, **view: Any) -> int:
        """A part, padded to four bytes; the number of its buffer view."""
        self.views.append({"buffer": 0, "byteOffset": self.length, "byteLength": len(data), **view})
        self.parts.append(data + b"\0" * (-len(data) % 4))
        self.length += len(self.parts[-1])
        return len(self.views) - 1

    def array(self, array: npt.NDArray[Any], component: int, kind: str, target: int, **more: Any) -> int:
        """An accessor over a whole array; its number."""
        view = self.add(array.tobytes(), target=target)
        self.accessors.append(
            {"bufferView": view, "componentType": component, "count": len(array), "type": kind, **more}
        )
        return len(self.accessors) - 1


def write_glb(path: Path, mesh: TriangleMesh, texture: Texture | None = None) -> None:
    """Write the mesh with `texture` as a JPEG inside; without one, with its vertex colours (linear, 16 bits)."""
    buffer = _Buffer()
    vertex = np.arange(len(mesh.vertices)) if texture is None else texture.vertex
    positions = (mesh.vertices[vertex] * TO_Y_UP).astype("<f4")
    box = {"min": positions.min(axis=0).tolist(), "max": positions.max(axis=0).tolist()}
    attributes = {
        "POSITION": buffer.array(positions, FLOAT, "VEC3", ARRAY_BUFFER, **box),
        "NORMAL": buffer.array((mesh.normals[vertex] * TO_Y_UP).astype("<f4"), FLOAT, "VEC3", ARRAY_BUFFER),
    }
    surface: dict[str, Any] = {"metallicFactor": 0.0, "roughnessFactor": 1.0}
    document: dict[str, Any] = {"asset": {"version": "2.0", "generator": "reconstruction_pipeline"}}
    if texture is None:
        colours = _linear_rgba(mesh.colours)
        attributes["COLOR_0"] = buffer.array(colours, USHORT, "VEC4", ARRAY_BUFFER, normalized=True)
        corners = mesh.faces
    else:
        attributes["TEXCOORD_0"] = buffer.array(texture.uv.astype("<f4"), FLOAT, "VEC2", ARRAY_BUFFER)
        surface["baseColorTexture"] = {"index": 0}
        picture = buffer.add(jpeg_of(texture.image))
        document["images"] = [{"bufferView": picture, "mimeType": "image/jpeg", "name": "texture"}]
        # Linear, with smaller copies; the charts do not repeat.
        document["samplers"] = [{"magFilter": 9729, "minFilter": 9987, "wrapS": 33071, "wrapT": 33071}]
        document["textures"] = [{"source": 0, "sampler": 0}]
        corners = texture.corners
    indices = buffer.array(corners.astype("<u4").ravel(), UINT, "SCALAR", ELEMENT_ARRAY_BUFFER)
    unlit: dict[str, Any] = {"KHR_materials_unlit": {}}
    document |= {
        "extensionsUsed": list(unlit),
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "name": "scene"}],
        "meshes": [{"primitives": [{"attributes": attributes, "indices": indices, "material": 0}]}],
        "materials": [{"pbrMetallicRoughness": surface, "doubleSided": True, "extensions": unlit}],
        "accessors": buffer.accessors,
        "bufferViews": buffer.views,
        "buffers": [{"byteLength": buffer.length}],
    }
    text = json.dumps(document, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    with path.open("wb") as file:
        file.write(struct.pack("<4sII", b"glTF", 2, 28 + len(text) + buffer.length))
        file.write(struct.pack("<I4s", len(text), b"JSON") + text)
        file.write(struct.pack("<I4s", buffer.length, b"BIN\0"))
        file.writelines(buffer.parts)


def _linear_rgba(colours: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint16]:
    srgb = colours / 255.0
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    rgba = np.column_stack([linear, np.ones(len(linear))])
    return np.rint(rgba * 65535).astype("<u2")
