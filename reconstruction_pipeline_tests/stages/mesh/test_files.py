from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest
import trimesh
from plyfile import PlyData

from reconstruction_pipeline.stages.mesh.clean import vertex_normals
from reconstruction_pipeline.stages.mesh.files import TriangleMesh, write_obj, write_ply
from reconstruction_pipeline.stages.mesh.glb import write_glb
from reconstruction_pipeline_tests.stages.mesh.shapes import volume

# No two coordinates alike in size or sign: a swapped or mirrored axis cannot hide. Gravity is +y.
VERTICES = np.array([[0.5, 0.25, 1.0], [1.5, 0.25, 1.0], [0.5, 2.25, 1.0], [0.5, 0.25, 4.0]])
FACES = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]], np.int32)
COLOURS = np.array([[255, 0, 0], [0, 128, 0], [0, 0, 64], [200, 100, 50]], np.uint8)


@pytest.fixture()
def mesh() -> TriangleMesh:
    assert volume(VERTICES, FACES) == pytest.approx(1.0)
    return TriangleMesh(VERTICES, FACES, vertex_normals(VERTICES, FACES), COLOURS)


def _glb(path: Path) -> tuple[dict, list[np.ndarray]]:
    data = path.read_bytes()
    magic, version, length = struct.unpack_from("<4sII", data)
    assert (magic, version, length) == (b"glTF", 2, len(data))
    size, kind = struct.unpack_from("<I4s", data, 12)
    assert kind == b"JSON" and size % 4 == 0
    document = json.loads(data[20 : 20 + size])
    binary_size, kind = struct.unpack_from("<I4s", data, 20 + size)
    assert kind == b"BIN\0" and binary_size % 4 == 0 and 28 + size + binary_size == len(data)
    binary = data[28 + size :]
    arrays = []
    for accessor in document["accessors"]:
        view = document["bufferViews"][accessor["bufferView"]]
        kinds = {5126: "<f4", 5123: "<u2", 5125: "<u4"}
        raw = np.frombuffer(binary[view["byteOffset"] :][: view["byteLength"]], kinds[accessor["componentType"]])
        arrays.append(raw.reshape(accessor["count"], -1))
    return document, arrays


def test_ply_is_in_the_y_down_world(mesh: TriangleMesh, tmp_path: Path) -> None:
    write_ply(tmp_path / "mesh.ply", mesh)
    read = trimesh.load(tmp_path / "mesh.ply", force="mesh", process=False)
    np.testing.assert_allclose(read.vertices, VERTICES)
    np.testing.assert_array_equal(read.faces, FACES)
    np.testing.assert_array_equal(read.visual.vertex_colors[:, :3], COLOURS)
    stored = PlyData.read(str(tmp_path / "mesh.ply"))["vertex"]
    np.testing.assert_allclose(np.stack([stored["nx"], stored["ny"], stored["nz"]], 1), mesh.normals)


def test_glb_is_y_up_and_not_mirrored(mesh: TriangleMesh, tmp_path: Path) -> None:
    write_glb(tmp_path / "mesh.glb", mesh)
    document, (positions, normals, colours, indices) = _glb(tmp_path / "mesh.glb")
    np.testing.assert_allclose(positions, VERTICES * [1, -1, -1])
    np.testing.assert_allclose(normals, mesh.normals * [1, -1, -1])
    assert volume(positions.astype(float), indices.reshape(-1, 3)) == pytest.approx(1.0)
    assert document["accessors"][0]["min"] == positions.min(axis=0).tolist()
    linear = colours[:, :3] / 65535
    assert linear[0].tolist() == [1, 0, 0] and np.all(colours[:, 3] == 65535)
    assert linear[1, 1] == pytest.approx(0.2158, abs=1e-3), "sRGB 128 in linear light"


def test_glb_opens_in_another_reader(mesh: TriangleMesh, tmp_path: Path) -> None:
    write_glb(tmp_path / "mesh.glb", mesh)
    read = trimesh.load(tmp_path / "mesh.glb", force="mesh", process=False)
    assert read.volume == pytest.approx(1.0)
    np.testing.assert_allclose(read.bounds, [[0.5, -2.25, -4.0], [1.5, -0.25, -1.0]])


def test_obj_is_y_up_with_colours(mesh: TriangleMesh, tmp_path: Path) -> None:
    write_obj(tmp_path / "mesh.obj", mesh)
    read = trimesh.load(tmp_path / "mesh.obj", force="mesh", process=False)
    np.testing.assert_allclose(read.bounds, [[0.5, -2.25, -4.0], [1.5, -0.25, -1.0]])
    assert read.volume == pytest.approx(1.0)
    first = next(line for line in (tmp_path / "mesh.obj").read_text().splitlines() if line.startswith("v "))
    assert [float(x) for x in first.split()[1:]] == [0.5, -0.25, -1.0, 1.0, 0.0, 0.0]
