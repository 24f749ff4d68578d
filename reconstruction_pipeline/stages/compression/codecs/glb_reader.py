"""Reading splats out of a glTF binary, trusting nothing in it and following no reference out of it."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.artifacts.errors import InvalidArtifact
from reconstruction_pipeline.artifacts.gaussian_splats import Gaussians
from reconstruction_pipeline.artifacts.ply import SH_COEFFICIENTS
from reconstruction_pipeline.stages.compression.codecs.base import FLAT_LOG_SCALE, OPAQUE_LOGIT, Damaged
from reconstruction_pipeline.stages.compression.codecs.frames import half_turn

NAME = "KHR_gaussian_splatting"
JSON_LIMIT = 1 << 24
COMPONENTS = {5120: "i1", 5121: "u1", 5122: "<i2", 5123: "<u2", 5126: "<f4"}
COLUMNS = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}
UNDERSTOOD = {NAME, "KHR_mesh_quantization"}
IDENTITIES = {
    "matrix": [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1],
    "translation": [0, 0, 0],
    "rotation": [0, 0, 0, 1],
    "scale": [1, 1, 1],
}


def read_glb(path: Path) -> Gaussians:
    """All splats of the default scene in the y-down world; raises `InvalidArtifact` in one sentence."""
    try:
        return half_turn(_Document(path).splats())
    except Damaged as error:
        reason = str(error)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError, OverflowError, struct.error) as error:
        reason = f"its description is not that of a glTF scene ({type(error).__name__}: {str(error)[:120]})"
    raise InvalidArtifact(f"{path}: not a readable GLB of splats, {reason}; make it again.")


@dataclass
class _Document:
    """The JSON and where the binary chunk lies in the file."""

    path: Path

    def __post_init__(self) -> None:
        size = self.path.stat().st_size
        with self.path.open("rb") as file:
            magic, version, length = struct.unpack("<4sII", file.read(12))
            if magic != b"glTF" or version != 2:
                raise Damaged("it does not begin like a glTF 2.0 binary")
            described, kind = struct.unpack("<I4s", file.read(8))
            if kind != b"JSON" or described > min(JSON_LIMIT, size) or length > size:
                raise Damaged(f"it ends early, or its description of {described} bytes is too long")
            self.meta: dict[str, Any] = json.loads(file.read(described))
            chunk = file.read(8)
            self.start = file.tell()
        self.size, kind = struct.unpack("<I4s", chunk) if chunk else (0, b"BIN\0")
        if kind != b"BIN\0" or self.size > size - self.start:
            raise Damaged("its data ends early")
        if unknown := set(self.meta.get("extensionsRequired", [])) - UNDERSTOOD:
            raise Damaged(f"it needs the extension '{sorted(unknown)[0][:80]}', which is not understood here")
        self.taken = 0

    def splats(self) -> Gaussians:
        """In glTF's world."""
        parts = [self._primitive(primitive) for primitive in self._primitives()]
        if not parts:
            raise Damaged(f"it has no splats ({NAME}), only meshes or nothing")
        if len(parts) == 1:
            return parts[0]
        joined = (np.concatenate([getattr(part, name) for part in parts]) for name in vars(parts[0]))
        return Gaussians(*joined)

    def _primitives(self) -> list[dict[str, Any]]:
        """Of every node that the default scene shows, each once."""
        scene = self.meta["scenes"][_index(self.meta.get("scene", 0))]
        waiting, seen, found = list(scene.get("nodes", [])), set[int](), []
        while waiting:
            number = _index(waiting.pop())
            if number in seen:
                raise Damaged("its nodes form no tree")
            seen.add(number)
            node = self.meta["nodes"][number]
            waiting += node.get("children", [])
            for key, identity in IDENTITIES.items():
                if key in node and not np.allclose(np.asarray(node[key], np.float64), identity):
                    raise Damaged(f"the node {number} has a {key}, and only splats with baked positions are read")
            if "mesh" in node:
                primitives = self.meta["meshes"][_index(node["mesh"])]["primitives"]
                found += [primitive for primitive in primitives if NAME in primitive.get("extensions", {})]
        return found

    def _primitive(self, primitive: dict[str, Any]) -> Gaussians:
        extension, names = primitive["extensions"][NAME], primitive["attributes"]
        if nested := extension.get("extensions"):
            raise Damaged(f"its splats are packed by '{sorted(nested)[0][:80]}', which is not understood here")
        if (kernel := extension.get("kernel")) != "ellipse":
            raise Damaged(f"its kernel is {str(kernel)[:40]!r}, not 'ellipse'")
        if (space := extension.get("colorSpace")) != "srgb_rec709_display":
            raise Damaged(f"its colour space is {str(space)[:40]!r}, and splats are blended in sRGB here")
        means = self._accessor(names["POSITION"], 3)
        count = len(means)
        self.taken += count
        if 12 * self.taken > self.size:
            raise Damaged("its primitives share positions")

        def values(name: str, columns: int) -> npt.NDArray[np.float32]:
            array = self._accessor(names[f"{NAME}:{name}"], columns)
            if len(array) != count:
                raise Damaged(f"{name} has {len(array)} values for {count} splats")
            return array

        sizes, opacity, quats = values("SCALE", 3), values("OPACITY", 1)[:, 0], values("ROTATION", 4)
        if not ((sizes >= 0).all() and (opacity >= 0).all() and (opacity <= 1).all()):
            raise Damaged("sizes or opacities in it are out of range (are they logarithms?)")
        degree = max(band for band in range(4) if band == 0 or f"{NAME}:SH_DEGREE_{band}_COEF_0" in names)
        if f"{NAME}:SH_DEGREE_4_COEF_0" in names:
            raise Damaged("its spherical harmonics have degree 4, and at most 3 can be read")
        sh = np.zeros((count, 16, 3), np.float32)
        for row in range(SH_COEFFICIENTS[degree]):
            band = int(np.sqrt(row))
            sh[:, row] = values(f"SH_DEGREE_{band}_COEF_{row - band * band}", 3)
        length = np.linalg.norm(quats, axis=1, keepdims=True)
        if (length < 1e-6).any():
            raise Damaged("a rotation in it is no rotation")
        with np.errstate(divide="ignore"):
            logits = np.clip(np.log(opacity) - np.log1p(-opacity), -OPAQUE_LOGIT, OPAQUE_LOGIT)
            log_scales = np.maximum(np.log(sizes), FLAT_LOG_SCALE)
        return Gaussians(means, log_scales, (quats / length)[:, [3, 0, 1, 2]], logits, sh)

    def _accessor(self, number: Any, columns: int) -> npt.NDArray[np.float32]:
        """(N, columns) float32, normalised integers as their fractions."""
        accessor = self.meta["accessors"][_index(number)]
        if "sparse" in accessor or "bufferView" not in accessor:
            raise Damaged("it has sparse or empty values")
        view = self.meta["bufferViews"][_index(accessor["bufferView"])]
        buffer = self.meta["buffers"][_index(view["buffer"])]
        if "uri" in buffer or view["buffer"] != 0:
            raise Damaged("its data lie in another file, which is not followed")
        kind, count = np.dtype(COMPONENTS[accessor["componentType"]]), _index(accessor["count"])
        if COLUMNS.get(accessor["type"]) != columns:
            raise Damaged(f"a {str(accessor['type'])[:20]} stands where {columns} numbers are needed")
        row = columns * kind.itemsize
        stride = _index(view.get("byteStride", row))
        first, inner = _index(view.get("byteOffset", 0)), _index(accessor.get("byteOffset", 0))
        extent = inner + stride * (count - 1) + row
        if count == 0 or stride < row or extent > _index(view["byteLength"]) or first + extent > self.size:
            raise Damaged(f"{count} values do not fit into its {self.size} bytes of data")
        data = np.memmap(self.path, np.uint8, "r", self.start + first + inner, (stride * (count - 1) + row,))
        raw = np.ndarray((count, columns), kind, data, 0, (stride, kind.itemsize))
        if kind.kind == "f":
            return np.array(raw, np.float32)
        if not accessor.get("normalized"):
            raise Damaged("it has integers that are not normalised")
        return np.maximum(raw / np.float32(np.iinfo(kind).max), -1.0).astype(np.float32)


def _index(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise Damaged(f"{str(value)[:40]!r} stands where a number must be")
    return value
