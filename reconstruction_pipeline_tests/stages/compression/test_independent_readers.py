"""Other people's readers see in our files what we see, and we see in theirs what they see."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest

from reconstruction_pipeline.artifacts.gaussian_splats import Gaussians
from reconstruction_pipeline.artifacts.ply import sh_degree_of
from reconstruction_pipeline.stages.compression.codecs import WriteOptions, read_splats, write_splats
from reconstruction_pipeline.stages.compression.codecs.importance import sigmoid
from reconstruction_pipeline_tests.readers import splat_transform, validate_gltf
from reconstruction_pipeline_tests.stages.captures import real_capture
from reconstruction_pipeline_tests.stages.compression.ksplat_files import ksplat_bytes
from reconstruction_pipeline_tests.stages.compression.scenes import match, random_scene

OURS = {
    "scene.ply": WriteOptions(),
    "scene.compressed.ply": WriteOptions(),
    "scene.sog": WriteOptions(palette=64),
    "v2.spz": WriteOptions(spz_version=2),
    "v3.spz": WriteOptions(spz_version=3),
    "v4.spz": WriteOptions(spz_version=4),
    "scene.splat": WriteOptions(),
    "scene.glb": WriteOptions(),
    "degree0.spz": WriteOptions(sh_degree=0),
    "degree1.compressed.ply": WriteOptions(sh_degree=1),
    "degree2.spz": WriteOptions(sh_degree=2),
}
FORGE = {
    "scene.sog": "sog",
    "v2.spz": "spz",
    "v3.spz": "spz",
    "v4.spz": "spz",
    "degree0.spz": "spz",
    "degree2.spz": "spz",
}


@pytest.fixture(scope="module")
def scene() -> Gaussians:
    scene = random_scene(900)
    scene.sh[:, 0] = np.clip(scene.sh[:, 0], -1.7, 1.7)
    return scene


@pytest.fixture(scope="module")
def ours(scene: Gaussians, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ours")
    for name, options in OURS.items():
        write_splats(folder / name, scene, options)
    return folder


def assert_same(a: Gaussians, b: Gaussians, angle: float = 0.1) -> None:
    """The same numbers, up to rounding in arithmetic and to how a byte of opacity 0 or 255 is read."""
    assert a.count == b.count
    np.testing.assert_allclose(a.means, b.means, rtol=1e-6, atol=1e-5)
    np.testing.assert_allclose(a.log_scales, b.log_scales, atol=1e-4)
    cosine = np.abs((a.quats.astype(float) * b.quats).sum(axis=1))
    assert np.degrees(2 * np.arccos(cosine.clip(0, 1))).max() < angle
    np.testing.assert_allclose(sigmoid(a.opacity_logits), sigmoid(b.opacity_logits), atol=1.1 / 1020)
    np.testing.assert_allclose(a.sh, b.sh, atol=1e-4)


@pytest.mark.parametrize("name", [name for name in OURS if not name.endswith(".glb")])
def test_splat_transform_reads_ours_as_we_do(name: str, ours: Path, tmp_path: Path) -> None:
    splat_transform(ours / name, tmp_path / "theirs.ply")
    # Its .splat reader takes a byte b for b / 127.5 - 1, the format's own viewer for (b - 128) / 128.
    assert_same(read_splats(ours / name), read_splats(tmp_path / "theirs.ply"), 1.0 if name == "scene.splat" else 0.1)


@pytest.mark.parametrize("name", sorted(FORGE))
def test_gaussforge_reads_ours_as_we_do(name: str, ours: Path, tmp_path: Path) -> None:
    import gaussforge

    answer = gaussforge.GaussForge().convert((ours / name).read_bytes(), FORGE[name], "ply")
    assert "error" not in answer
    (tmp_path / "theirs.ply").write_bytes(answer["data"])
    assert_same(read_splats(ours / name), read_splats(tmp_path / "theirs.ply"))


@pytest.mark.parametrize(
    ("name", "options"),
    [("a.compressed.ply", ()), ("a.spz", ()), ("b.spz", ("--spz-version", "3")), ("a.ply", ()), ("a.sog", ("-i", "2"))],
)
def test_we_read_splat_transform_s_files_as_it_does(
    name: str, options: tuple[str, ...], ours: Path, scene: Gaussians, tmp_path: Path
) -> None:
    splat_transform("-g", "cpu", *options, ours / "scene.ply", tmp_path / name)
    splat_transform(tmp_path / name, tmp_path / "theirs.ply")
    copy = read_splats(tmp_path / name)
    assert_same(copy, read_splats(tmp_path / "theirs.ply"))
    assert sh_degree_of(copy) == 3
    assert np.abs(copy.means - scene.means[match(copy, scene)]).max() < 0.01


@pytest.mark.parametrize("version", [2, 3, 4])
def test_we_read_gaussforge_s_spz_as_it_does(version: int, ours: Path, scene: Gaussians, tmp_path: Path) -> None:
    import gaussforge

    forge = gaussforge.GaussForge()
    written = forge.convert((ours / "scene.ply").read_bytes(), "ply", "spz", spz_version=version)["data"]
    (tmp_path / "a.spz").write_bytes(written)
    (tmp_path / "a.ply").write_bytes(forge.convert(written, "spz", "ply")["data"])
    assert_same(read_splats(tmp_path / "a.spz"), read_splats(tmp_path / "a.ply"))
    assert np.abs(read_splats(tmp_path / "a.spz").means - scene.means).max() < 2.0**-12


def accessors(path: Path) -> dict[str, np.ndarray]:
    """Every vertex attribute of a GLB by name; a reader of its own, without any of the code under test."""
    data = path.read_bytes()
    (described,) = struct.unpack_from("<I", data, 12)
    meta = json.loads(data[20 : 20 + described])
    start = 20 + described + 8
    result = {}
    (primitive,) = meta["meshes"][0]["primitives"]
    for name, number in primitive["attributes"].items():
        accessor = meta["accessors"][number]
        view = meta["bufferViews"][accessor["bufferView"]]
        kind = {5121: np.uint8, 5126: np.float32}[accessor["componentType"]]
        columns = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}[accessor["type"]]
        first = start + view.get("byteOffset", 0) + accessor.get("byteOffset", 0)
        result[name] = np.frombuffer(data, kind, accessor["count"] * columns, first).reshape(-1, columns)
    return result


@pytest.fixture(scope="module")
def their_glb(ours: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("glb") / "theirs.glb"
    splat_transform(ours / "scene.ply", path)
    return path


def test_glb_accessors_equal_splat_transform_s_but_for_the_fallback_colour(ours: Path, their_glb: Path) -> None:
    mine, theirs = accessors(ours / "scene.glb"), accessors(their_glb)
    assert list(mine) == list(theirs)
    for name, values in theirs.items():
        if name == "COLOR_0":
            # Theirs is the sRGB colour as it is; glTF says linear. The opacity is the same.
            np.testing.assert_array_equal(mine[name][:, 3], values[:, 3])
            srgb = values[:, :3] / 255.0
            linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
            assert np.abs(mine[name][:, :3] / 255.0 - linear).max() < 0.007
        elif name.endswith("ROTATION"):
            np.testing.assert_allclose(np.abs((mine[name] * values).sum(axis=1)), 1.0, atol=1e-6)
        else:
            np.testing.assert_allclose(mine[name], values, rtol=2e-6, atol=2e-6, err_msg=name)


def test_we_read_splat_transform_s_glb(their_glb: Path, scene: Gaussians) -> None:
    assert_same(read_splats(their_glb), scene)


def test_khronos_validator_reports_for_ours_what_it_reports_for_splat_transform_s(ours: Path, their_glb: Path) -> None:
    mine, theirs = validate_gltf(ours / "scene.glb"), validate_gltf(their_glb)
    # The validator does not know the extension yet, so its attributes are foreign to it; nothing else is wrong.
    assert (
        mine["counts"] == theirs["counts"] == {"2 UNSUPPORTED_EXTENSION": 1, "0 MESH_PRIMITIVE_INVALID_ATTRIBUTE": 19}
    )
    assert mine["info"]["totalVertexCount"] == 900


@pytest.mark.parametrize(
    ("name", "count", "degree"),
    [
        ("biker.compressed.ply", 152_746, 0),
        ("biker.spz", 152_746, 0),
        ("wolf.spz", 90_586, 3),
        ("minimal-raw.spz", 4, 0),
        ("minimal-v2.spz", 4, 0),
        ("minimal-v3.spz", 4, 0),
        ("minimal-v4.spz", 4, 0),
        ("minimal.splat", 4, 0),
        ("minimal.ksplat", 4, 0),
    ],
)
def test_the_captures_splats_are_read_as_splat_transform_reads_them(
    name: str, count: int, degree: int, tmp_path: Path
) -> None:
    path = real_capture(f"splats/{name}")
    scene = read_splats(path)
    assert (scene.count, sh_degree_of(scene)) == (count, degree)
    splat_transform(path, tmp_path / "theirs.ply")
    assert_same(scene, read_splats(tmp_path / "theirs.ply"), 1.0 if name.endswith(".splat") else 0.1)


@pytest.mark.parametrize(("level", "degree"), [(0, 2), (1, 2), (2, 2), (1, 1), (2, 0)])
def test_ksplat_is_read_as_splat_transform_reads_it(level: int, degree: int, scene: Gaussians, tmp_path: Path) -> None:
    (tmp_path / "a.ksplat").write_bytes(ksplat_bytes(scene, level, degree))
    splat_transform(tmp_path / "a.ksplat", tmp_path / "theirs.ply")
    copy = read_splats(tmp_path / "a.ksplat")
    assert sh_degree_of(copy) == degree
    assert_same(copy, read_splats(tmp_path / "theirs.ply"))
    assert np.abs(copy.means - scene.means[match(copy, scene)]).max() < 1e-3


def test_biker_is_one_scene_in_two_formats() -> None:
    """Its SPZ was written by Niantic's library, in that library's frame: half a turn about x from the PLY's."""
    from reconstruction_pipeline.stages.compression.edits import turn

    packed = read_splats(real_capture("splats/biker.compressed.ply"))
    spz = turn(read_splats(real_capture("splats/biker.spz")), np.diag([1.0, -1.0, -1.0]))
    spz = spz.take(match(packed, spz))
    np.testing.assert_allclose(spz.means, packed.means, atol=3e-4)
    # Within a step of both formats. Ellipsoids are compared as they look: half a turn about an axis changes none.
    cosine = np.stack([same_axes(spz.quats, packed.quats, axis) for axis in range(4)]).max(axis=0)
    agree = np.degrees(2 * np.arccos(cosine.clip(0, 1))) < 0.3
    agree &= (np.abs(spz.log_scales - packed.log_scales) < 0.035).all(axis=1)
    agree &= np.abs(sigmoid(spz.opacity_logits) - sigmoid(packed.opacity_logits)) < 0.6 / 255
    agree &= (np.abs(spz.sh[:, 0] - packed.sh[:, 0]) < 0.03).all(axis=1)
    # Where splats lie within a step of each other, the nearest is not always the same one.
    assert agree.mean() > 0.99, agree.mean()


def same_axes(a: np.ndarray, b: np.ndarray, axis: int) -> np.ndarray:
    """(N,) |<a, b h>| of quaternions wxyz, where h is nothing (axis 0) or half a turn about b's own axis x, y or z."""
    w, x, y, z = b.T.astype(float)
    turned = {0: (w, x, y, z), 1: (-x, w, z, -y), 2: (-y, -z, w, x), 3: (-z, y, -x, w)}[axis]
    return np.abs((a * np.stack(turned, axis=1)).sum(axis=1))
