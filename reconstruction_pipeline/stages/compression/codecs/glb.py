"""glTF 2.0 binary with KHR_gaussian_splatting (ratified by Khronos in 2026): exact floats, y up.

The scene is turned from the y-down world (see `frames`): centres, rotations and SH are baked, the node has no
transform. Sizes and opacities are linear, rotations xyzw. COLOR_0 is what a viewer without the extension shows as
points: the base colour decoded from sRGB, because glTF's vertex colours are linear, and the opacity.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline import __version__
from reconstruction_pipeline.artifacts.gaussian_splats import Gaussians
from reconstruction_pipeline.stages.compression.codecs.base import (
    WriteOptions,
    degree_to_write,
    require_writable,
)
from reconstruction_pipeline.stages.compression.codecs.frames import AXES, HARMONICS, half_turned_quaternions
from reconstruction_pipeline.stages.compression.codecs.glb_reader import read_glb
from reconstruction_pipeline.stages.compression.codecs.importance import sigmoid
from reconstruction_pipeline.stages.compression.codecs.quantise import SH_0, opacity_byte, unit_quaternions

EXTENSION = "KHR_gaussian_splatting"
FLOAT, BYTE, ARRAY_BUFFER, POINTS = 5126, 5121, 34962, 0
JSON_CHUNK, BINARY_CHUNK = 0x4E4F534A, 0x004E4942
TYPES = {1: "SCALAR", 3: "VEC3", 4: "VEC4"}

Array = npt.NDArray[Any]


class GlbCodec:
    """The open standard; as large as the PLY."""

    name = "glTF with Gaussian splats"
    suffix = ".glb"

    def read(self, path: Path) -> Gaussians:
        """Read the splats of the default scene; raises `InvalidArtifact` for anything else."""
        return read_glb(path)

    def write(self, path: Path, gaussians: Gaussians, options: WriteOptions) -> None:
        """Write one primitive, attribute after attribute, so that no second copy of the scene is held."""
        require_writable(path, gaussians)
        degree = degree_to_write(gaussians, options)
        views: list[dict[str, Any]] = []
        accessors: list[dict[str, Any]] = []
        names: dict[str, int] = {}
        offset = 0
        for name, array in attributes(gaussians, degree):
            views.append({"buffer": 0, "byteOffset": offset, "byteLength": array.nbytes, "target": ARRAY_BUFFER})
            accessors.append(_accessor(len(accessors), name, array))
            names[name] = len(names)
            offset += array.nbytes
        text = json.dumps(_document(views, accessors, names, offset), separators=(",", ":")).encode("ascii")
        text += b" " * (-len(text) % 4)
        with path.open("wb") as file:
            file.write(struct.pack("<4sII", b"glTF", 2, 12 + 8 + len(text) + 8 + offset))
            file.write(struct.pack("<II", len(text), JSON_CHUNK) + text)
            file.write(struct.pack("<II", offset, BINARY_CHUNK))
            # Made a second time rather than kept: they are as large as the scene.
            for _, array in attributes(gaussians, degree):
                file.write(array.tobytes())


def attributes(gaussians: Gaussians, degree: int) -> Iterator[tuple[str, Array]]:
    """Names and values (N, ...) of the vertex attributes in glTF's world; each row is a multiple of four bytes."""
    yield "POSITION", gaussians.means * AXES
    yield "COLOR_0", _fallback_colours(gaussians)
    turned = half_turned_quaternions(unit_quaternions(gaussians.quats).astype(np.float32))
    yield f"{EXTENSION}:ROTATION", np.ascontiguousarray(turned[:, [1, 2, 3, 0]])
    sizes = np.exp(np.clip(gaussians.log_scales.astype(np.float64), -80.0, 80.0))
    yield f"{EXTENSION}:SCALE", sizes.astype(np.float32)
    yield f"{EXTENSION}:OPACITY", sigmoid(gaussians.opacity_logits).astype(np.float32)
    for band in range(degree + 1):
        for index in range(2 * band + 1):
            row = band * band + index
            yield f"{EXTENSION}:SH_DEGREE_{band}_COEF_{index}", gaussians.sh[:, row] * HARMONICS[row]


def _fallback_colours(gaussians: Gaussians) -> Array:
    """(N, 4) uint8: linear light, not the sRGB that splats are blended in."""
    shown = np.clip(0.5 + SH_0 * gaussians.sh[:, 0], 0.0, 1.0)
    linear = np.where(shown <= 0.04045, shown / 12.92, ((shown + 0.055) / 1.055) ** 2.4)
    return np.concatenate(
        [np.rint(255.0 * linear).astype(np.uint8), opacity_byte(gaussians.opacity_logits)[:, None]], axis=1
    )


def _accessor(view: int, name: str, array: Array) -> dict[str, Any]:
    columns = array.shape[1] if array.ndim > 1 else 1
    result: dict[str, Any] = {
        "bufferView": view,
        "componentType": BYTE if array.dtype == np.uint8 else FLOAT,
        "count": len(array),
        "type": TYPES[columns],
    }
    if array.dtype == np.uint8:
        result["normalized"] = True
    if name == "POSITION":
        result |= {"min": array.min(axis=0).tolist(), "max": array.max(axis=0).tolist()}
    return result


def _document(
    views: list[dict[str, Any]], accessors: list[dict[str, Any]], names: dict[str, int], size: int
) -> dict[str, Any]:
    splats = {
        "kernel": "ellipse",
        "colorSpace": "srgb_rec709_display",
        "sortingMethod": "cameraDistance",
        "projection": "perspective",
    }
    primitive = {"attributes": names, "mode": POINTS, "extensions": {EXTENSION: splats}}
    return {
        "asset": {"version": "2.0", "generator": f"reconstruction_pipeline {__version__}"},
        "extensionsUsed": [EXTENSION],
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [primitive]}],
        "buffers": [{"byteLength": size}],
        "bufferViews": views,
        "accessors": accessors,
    }
