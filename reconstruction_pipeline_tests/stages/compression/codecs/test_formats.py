"""What each format keeps, measured on a scene that it can hold; and the layouts that others rely on."""

from __future__ import annotations

import gzip
import json
import struct
from pathlib import Path

import numpy as np
import pytest

from reconstruction_pipeline.artifacts.errors import InvalidArtifact, UsageError
from reconstruction_pipeline.artifacts.gaussian_splats import Gaussians
from reconstruction_pipeline.artifacts.harmonics import basis
from reconstruction_pipeline.artifacts.ply import sh_degree_of
from reconstruction_pipeline.kernels.camera import PinholeView
from reconstruction_pipeline.stages.compression.codecs import WriteOptions, codec_for, read_splats, write_splats
from reconstruction_pipeline.stages.compression.codecs.importance import sigmoid
from reconstruction_pipeline.stages.compression.codecs.spz import fraction_bits
from reconstruction_pipeline.stages.compression.fidelity import look_at
from reconstruction_pipeline_tests.stages.compression.scenes import match, random_scene

# Largest errors: centre (world units), log size, angle (degrees), opacity, base colour, view-dependent colour.
PRECISION = {
    "a.ply": (0, 0, 0.06, 0, 0, 0),
    "a.glb": (0, 1e-6, 0.06, 1e-6, 0, 0),
    "a.compressed.ply": (0.005, 0.005, 0.3, 0.51 / 255, 0.02, 1 / 64 + 1e-6),
    "a.spz": (0.0006, 1 / 32 + 1e-5, 0.3, 0.51 / 255, 0.0134, 2.01 / 128),
    "a.splat": (0, 1e-6, 1.0, 0.51 / 255, 0.0071, None),
}


def tame_scene(count: int = 3000, degree: int = 3) -> Gaussians:
    """Colours within 0..1, as `.splat` needs them."""
    scene = random_scene(count, degree=degree)
    scene.sh[:, 0] = np.clip(scene.sh[:, 0], -1.7, 1.7)
    return scene


@pytest.mark.parametrize("name", sorted(PRECISION))
def test_round_trip_is_within_the_format_s_precision(name: str, tmp_path: Path) -> None:
    scene = tame_scene()
    write_splats(tmp_path / name, scene)
    copy = read_splats(tmp_path / name)
    order = match(scene, copy)
    assert len(np.unique(order)) == scene.count
    copy = copy.take(order)
    mean, size, angle, opacity, base, rest = PRECISION[name]
    assert np.abs(copy.means - scene.means).max() <= mean
    assert np.abs(copy.log_scales - scene.log_scales).max() <= size
    angles = 2 * np.degrees(np.arccos(np.abs((copy.quats * scene.quats).sum(axis=1)).clip(0, 1)))
    assert angles.max() <= angle
    assert np.abs(sigmoid(copy.opacity_logits) - sigmoid(scene.opacity_logits)).max() <= opacity
    assert np.abs(copy.sh[:, 0] - scene.sh[:, 0]).max() <= base
    if rest is None:
        assert not copy.sh[:, 1:].any()
    else:
        assert np.abs(copy.sh[:, 1:] - scene.sh[:, 1:]).max() <= rest


@pytest.mark.parametrize("name", ["a.ply", "a.compressed.ply", "a.spz", "a.glb"])
@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_every_degree_is_kept_and_no_more_is_written(name: str, degree: int, tmp_path: Path) -> None:
    scene = random_scene(300, degree=degree)
    write_splats(tmp_path / name, scene)
    assert sh_degree_of(read_splats(tmp_path / name)) == degree
    write_splats(tmp_path / f"3{name}", scene, WriteOptions(sh_degree=3))
    assert ((tmp_path / f"3{name}").stat().st_size > (tmp_path / name).stat().st_size) == (degree < 3)
    if degree == 3:
        write_splats(tmp_path / f"1{name}", scene, WriteOptions(sh_degree=1))
        assert sh_degree_of(read_splats(tmp_path / f"1{name}")) == 1


@pytest.mark.parametrize("name", sorted(PRECISION))
@pytest.mark.parametrize("count", [1, 255, 257])
def test_small_and_odd_counts_and_equal_bytes(name: str, count: int, tmp_path: Path) -> None:
    scene = tame_scene(count)
    write_splats(tmp_path / name, scene)
    write_splats(tmp_path / f"again-{name}", scene)
    assert read_splats(tmp_path / name).count == count
    assert (tmp_path / name).read_bytes() == (tmp_path / f"again-{name}").read_bytes()


@pytest.mark.parametrize("name", [name for name in sorted(PRECISION) if name != "a.ply"])
def test_unwritable_scenes_are_refused_and_nothing_is_left(name: str, tmp_path: Path) -> None:
    scene = random_scene(10)
    scene.log_scales[3, 1] = np.nan
    with pytest.raises(InvalidArtifact, match="not finite"):
        write_splats(tmp_path / name, scene)
    with pytest.raises(InvalidArtifact, match="no splats"):
        write_splats(tmp_path / name, random_scene(0))
    assert list(tmp_path.iterdir()) == []


def test_extremes_are_held_by_clipping_and_stay_finite(tmp_path: Path) -> None:
    scene = random_scene(64)
    scene.opacity_logits[:2] = -60.0, 60.0
    scene.log_scales[2], scene.log_scales[3] = -60.0, 60.0
    scene.sh[4], scene.quats[5] = 1e4, 0.0
    for name in PRECISION:
        write_splats(tmp_path / name, scene)
        copy = read_splats(tmp_path / name)
        assert copy.count == 64
        opacity = np.sort(sigmoid(copy.opacity_logits))
        assert opacity[0] < 0.001 and opacity[-1] > 0.999


def test_spz_has_the_layout_of_its_versions(tmp_path: Path) -> None:
    scene = random_scene(500)
    for version, rotation in ((2, 3), (3, 4)):
        write_splats(tmp_path / "a.spz", scene, WriteOptions(spz_version=version))
        data = gzip.decompress((tmp_path / "a.spz").read_bytes())
        magic, number, count, degree, bits, flags, zero = struct.unpack("<4sIIBBBB", data[:16])
        assert (magic, number, count, degree, flags, zero) == (b"NGSP", version, 500, 3, 0, 0)
        assert bits == fraction_bits(scene) and len(data) == 16 + 500 * (9 + 1 + 3 + 3 + rotation + 45)
    write_splats(tmp_path / "a.spz", scene, WriteOptions(spz_version=4))
    data = (tmp_path / "a.spz").read_bytes()
    assert data[:4] == b"NGSP" and data[15] == 6 and struct.unpack_from("<I", data, 16) == (32,)
    assert [unpacked for _, unpacked in struct.iter_unpack("<QQ", data[32:128])] == [4500, 500, 1500, 1500, 2000, 22500]
    with pytest.raises(UsageError, match="version 5"):
        write_splats(tmp_path / "a.spz", scene, WriteOptions(spz_version=5))


def test_spz_positions_are_as_fine_as_the_splats_need() -> None:
    scene = random_scene(200)
    coarse = fraction_bits(scene)
    fine = Gaussians(scene.means, scene.log_scales - 3.0, scene.quats, scene.opacity_logits, scene.sh)
    assert fraction_bits(fine) == coarse + 4  # e^3 is a little more than four bits
    far = Gaussians(scene.means * 1e4, scene.log_scales, scene.quats, scene.opacity_logits, scene.sh)
    assert np.abs(far.means).max() * 2.0 ** fraction_bits(far) < 2**23
    beyond = Gaussians(scene.means * 1e8, scene.log_scales, scene.quats, scene.opacity_logits, scene.sh)
    assert fraction_bits(beyond) < 0


def test_spz_moves_into_the_base_colour_what_rounding_changes_where_it_is_seen(tmp_path: Path) -> None:
    scene = random_scene(400)
    rotation = look_at(np.array([0.0, 0.0, -9.0]), np.zeros(3))
    view = PinholeView(rotation, np.array([0.0, 0.0, 9.0]), 20.0, 20.0, 80.0, 60.0, 160, 120)  # wide: all is seen
    directions = scene.means - view.center
    seen = basis(directions / np.linalg.norm(directions, axis=1, keepdims=True))
    errors = []
    for views in ((), (view,)):
        write_splats(tmp_path / "a.spz", scene, WriteOptions(views=views))
        copy = read_splats(tmp_path / "a.spz")
        copy = copy.take(match(scene, copy))
        errors.append(np.einsum("nk,nkc->nc", seen, copy.sh - scene.sh)[np.abs(scene.sh[:, 0]).max(axis=1) < 3])
    assert np.sqrt(np.mean(errors[1] ** 2)) < 0.4 * np.sqrt(np.mean(errors[0] ** 2))
    # What is left is the step of the base colour, 1 / (0.15 * 255) in coefficients.
    assert np.abs(errors[1]).max() < 0.282095 * 0.51 / (0.15 * 255)
    assert abs(errors[0].mean()) < 0.001  # halves are not rounded one way


def test_spz_that_cannot_hold_the_scene_is_refused(tmp_path: Path) -> None:
    scene = random_scene(10)
    scene.means[0] = 1e8
    with pytest.raises(InvalidArtifact, match="too far from its origin"):
        write_splats(tmp_path / "a.spz", scene)


def test_splat_bytes_mean_what_its_viewer_reads(tmp_path: Path) -> None:
    scene = tame_scene(200)
    write_splats(tmp_path / "a.splat", scene)
    data = np.frombuffer((tmp_path / "a.splat").read_bytes(), np.uint8).reshape(200, 32)
    floats = data[:, :24].copy().view("<f4")
    order = match(scene, read_splats(tmp_path / "a.splat"))
    quats = (data[:, 28:].astype(float) - 128) / 128
    assert np.abs((quats[order] * scene.quats).sum(axis=1)).min() > 0.99
    np.testing.assert_allclose(floats[order, 3:], np.exp(scene.log_scales), rtol=1e-6)
    # The most visible come first.
    visible = np.sort(floats[:, 3:], axis=1)[:, 1:].prod(axis=1) * data[:, 27]
    assert visible[:50].min() > visible[-50:].max()


def test_glb_is_y_up_and_its_fallback_colours_are_linear(tmp_path: Path) -> None:
    scene = tame_scene(100)
    write_splats(tmp_path / "a.glb", scene)
    data = (tmp_path / "a.glb").read_bytes()
    magic, version, length, described = struct.unpack_from("<4sIII", data)
    assert (magic, version, length) == (b"glTF", 2, len(data)) and length % 4 == described % 4 == 0
    meta = json.loads(data[20 : 20 + described])
    position = meta["accessors"][meta["meshes"][0]["primitives"][0]["attributes"]["POSITION"]]
    np.testing.assert_allclose(
        position["max"], [-scene.means[:, 0].min(), -scene.means[:, 1].min(), scene.means[:, 2].max()]
    )
    view = meta["bufferViews"][1]
    colours = np.frombuffer(data, np.uint8, 400, 28 + described + view["byteOffset"]).reshape(100, 4)
    shown = np.clip(0.5 + 0.28209479 * scene.sh[:, 0], 0, 1)
    back = np.where(
        colours[:, :3] / 255 <= 0.0031308,
        colours[:, :3] / 255 * 12.92,
        1.055 * (colours[:, :3] / 255) ** (1 / 2.4) - 0.055,
    )
    assert np.abs(back - shown).max() < 0.03
    np.testing.assert_allclose(colours[:, 3] / 255, sigmoid(scene.opacity_logits), atol=0.51 / 255)


def test_a_compressed_ply_is_known_by_its_content(tmp_path: Path) -> None:
    scene = random_scene(100)
    write_splats(tmp_path / "a.compressed.ply", scene)
    (tmp_path / "a.compressed.ply").rename(tmp_path / "renamed.ply")
    assert read_splats(tmp_path / "renamed.ply").count == 100


@pytest.mark.parametrize("form", ["ascii", "big endian"])
def test_other_forms_of_ply_are_read(form: str, tmp_path: Path) -> None:
    from plyfile import PlyData

    scene = random_scene(50, degree=2)
    write_splats(tmp_path / "a.ply", scene)
    ply = PlyData.read(str(tmp_path / "a.ply"))
    PlyData(list(ply.elements), text=form == "ascii", byte_order=">" if form != "ascii" else "<").write(
        str(tmp_path / "b.ply")
    )
    copy = read_splats(tmp_path / "b.ply")
    for name, values in vars(scene).items():
        np.testing.assert_allclose(getattr(copy, name), values, atol=1e-6, err_msg=name)


def test_infinite_opacities_and_null_rotations_of_other_tools_are_read(tmp_path: Path) -> None:
    scene = random_scene(5)
    scene.quats[2] = 0.0
    scene.opacity_logits[0], scene.log_scales[1, 2] = np.inf, -np.inf
    write_splats(tmp_path / "a.ply", scene)
    copy = read_splats(tmp_path / "a.ply")
    assert copy.opacity_logits[0] == 20 and np.isfinite(copy.log_scales).all()
    np.testing.assert_array_equal(copy.quats[2], [1, 0, 0, 0])


@pytest.mark.parametrize(("name", "says"), [("a.gltf", "several files"), ("a.xyz", "known")])
def test_formats_that_are_not_supported_say_why(name: str, says: str) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        codec_for(Path(name))
    assert "\n" not in str(caught.value) and ".spz" in str(caught.value)
