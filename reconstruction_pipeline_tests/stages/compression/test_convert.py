from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from reconstruction_pipeline.artifacts.errors import InvalidArtifact, UsageError
from reconstruction_pipeline.artifacts.gaussian_splats import Gaussians
from reconstruction_pipeline.artifacts.harmonics import band_rotations, basis
from reconstruction_pipeline.artifacts.ply import read_ply, sh_degree_of, write_ply
from reconstruction_pipeline.stages.compression.codecs.importance import opacity_area, sigmoid
from reconstruction_pipeline.stages.compression.convert import convert
from reconstruction_pipeline.stages.compression.edits import euler, rotate, turn
from reconstruction_pipeline_tests.stages.compression.scenes import match, random_scene


@pytest.fixture
def ply(tmp_path: Path) -> Path:
    write_ply(tmp_path / "scene.ply", random_scene(800))
    return tmp_path / "scene.ply"


def test_ply_to_sog_and_back(ply: Path, tmp_path: Path) -> None:
    there = convert(ply, tmp_path / "a.sog")
    back = convert(tmp_path / "a.sog", tmp_path / "b.ply")
    assert (there.splats_in, there.splats_out, back.splats_out) == (800, 800, 800)
    assert there.bytes_in == ply.stat().st_size and there.bytes_out < there.bytes_in / 3
    scene, result = read_ply(ply), read_ply(tmp_path / "b.ply")
    result = result.take(match(scene, result))
    np.testing.assert_allclose(result.means, scene.means, atol=0.01)
    np.testing.assert_allclose(sigmoid(result.opacity_logits), sigmoid(scene.opacity_logits), atol=0.02)


def test_ply_to_ply_loses_nothing(ply: Path, tmp_path: Path) -> None:
    convert(ply, tmp_path / "b.ply")
    before, after = read_ply(ply), read_ply(tmp_path / "b.ply")
    for name, values in vars(before).items():
        np.testing.assert_allclose(getattr(after, name), values, atol=1e-6, err_msg=name)


def test_sh_and_max_splats(ply: Path, tmp_path: Path) -> None:
    convert(ply, tmp_path / "b.ply", sh=1, max_splats=100)
    before, after = read_ply(ply), read_ply(tmp_path / "b.ply")
    assert (after.count, sh_degree_of(after)) == (100, 1)
    kept = match(after, before)
    assert opacity_area(before)[kept].min() >= np.sort(opacity_area(before))[-100]
    np.testing.assert_array_equal(after.sh[:, :4], before.sh[kept, :4])


def test_crop_keeps_what_is_inside(ply: Path, tmp_path: Path) -> None:
    convert(ply, tmp_path / "b.ply", crop=((-1.0, -2.0, -1.0), (1.0, 2.0, 1.0)))
    before, after = read_ply(ply), read_ply(tmp_path / "b.ply")
    inside = (np.abs(before.means) <= (1.0, 2.0, 1.0)).all(axis=1)
    np.testing.assert_array_equal(after.means, before.means[inside])


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"sh": 4}, "--sh"),
        ({"sh": -1}, "--sh"),
        ({"max_splats": 0}, "--max-splats"),
        ({"rotate": (0.0, float("nan"), 0.0)}, "--rotate"),
        ({"crop": ((0.0, 0.0, 0.0), (1.0, -1.0, 1.0))}, "lower bound"),
        ({"crop": ((90.0, 90.0, 90.0), (91.0, 91.0, 91.0))}, "no splat is inside"),
    ],
)
def test_senseless_options_are_usage_errors(options: dict, says: str, ply: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=says):
        convert(ply, tmp_path / "b.sog", **options)
    assert not (tmp_path / "b.sog").exists()


def test_bad_files_leave_the_target_alone(ply: Path, tmp_path: Path) -> None:
    (tmp_path / "b.sog").write_bytes(b"old")
    (tmp_path / "broken.ply").write_bytes(ply.read_bytes()[:2000])
    with pytest.raises(InvalidArtifact):
        convert(tmp_path / "broken.ply", tmp_path / "b.sog")
    with pytest.raises(UsageError, match="overwrite"):
        convert(ply, ply)
    with pytest.raises(UsageError, match="known splat format"):
        convert(ply, tmp_path / "b.xyz")
    assert (tmp_path / "b.sog").read_bytes() == b"old"


def test_basis_is_orthonormal_on_the_sphere() -> None:
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(200_000, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    values = basis(directions)
    np.testing.assert_allclose(4 * np.pi * values.T @ values / len(values), np.eye(16), atol=0.03)


def test_rotation_turns_colours_with_the_scene() -> None:
    rotation = euler((20.0, -35.0, 110.0))
    scene = random_scene(50)
    turned = turn(scene, rotation)
    directions = np.random.default_rng(1).normal(size=(64, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    before = np.einsum("dk,nkc->ndc", basis(directions), scene.sh)
    after = np.einsum("dk,nkc->ndc", basis(directions @ rotation.T), turned.sh)
    np.testing.assert_allclose(after, before, atol=1e-5)
    np.testing.assert_allclose(turned.means, scene.means @ rotation.T, atol=1e-5)
    for matrix in band_rotations(rotation).values():
        np.testing.assert_allclose(matrix @ matrix.T, np.eye(len(matrix)), atol=1e-9)


def test_rotation_turns_shapes_with_the_scene() -> None:
    rotation = euler((0.0, 0.0, 90.0))
    # x goes to y: right-handed about z.
    np.testing.assert_allclose(rotation @ [1, 0, 0], [0, 1, 0], atol=1e-12)
    scene = random_scene(20)
    before, after = covariances(scene), covariances(rotate(scene, (0.0, 0.0, 90.0)))
    np.testing.assert_allclose(after, rotation @ before @ rotation.T, atol=1e-5)


def covariances(scene: Gaussians) -> np.ndarray:
    from reconstruction_pipeline.artifacts.colmap import rotation_of

    axes = np.array([rotation_of(tuple(q)) for q in scene.quats]) * np.exp(scene.log_scales)[:, None, :]
    return axes @ axes.transpose(0, 2, 1)
