from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reconstruction_pipeline.artifacts.errors import InvalidArtifact, UsageError
from reconstruction_pipeline.artifacts.gaussian_splats import Gaussians
from reconstruction_pipeline.artifacts.ply import sh_degree_of
from reconstruction_pipeline.stages.compression.codecs import WriteOptions, codec_for, read_splats, write_splats
from reconstruction_pipeline.stages.compression.codecs.importance import quantisation_weights, sigmoid
from reconstruction_pipeline_tests.stages.compression.scenes import match, random_scene
from reconstruction_pipeline_tests.stages.compression.test_convert import covariances


@pytest.fixture(scope="module")
def scene() -> Gaussians:
    return random_scene()


@pytest.fixture(scope="module")
def sog(scene: Gaussians, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sog") / "scene.sog"
    write_splats(path, scene)
    return path


def test_round_trip_is_within_the_format_s_precision_where_bits_cost_nothing(scene: Gaussians, tmp_path: Path) -> None:
    write_splats(tmp_path / "a.sog", scene, WriteOptions(price=1e-13))
    decoded = read_splats(tmp_path / "a.sog")
    assert decoded.count == scene.count
    decoded = decoded.take(match(scene, decoded))
    # Half a step of a 16-bit logarithmic grid.
    span = np.ptp(np.log1p(np.abs(scene.means)) * np.sign(scene.means), axis=0)
    bound = 0.51 * span / 65535 * (1 + np.abs(scene.means))
    assert (np.abs(decoded.means - scene.means) <= bound + 1e-6).all()
    # The axes may come in another order, so shapes are compared as what they are: a degree and some hundredths.
    off = np.abs(covariances(decoded) - covariances(scene)).max(axis=(1, 2))
    size = np.exp(2.0 * scene.log_scales.max(axis=1))
    assert np.median(off / size) < 0.01 and (off / size).max() < 0.08
    assert np.abs(sigmoid(decoded.opacity_logits) - sigmoid(scene.opacity_logits)).max() < 0.51 / 255
    assert np.sqrt(np.mean((decoded.sh[:, 0] - scene.sh[:, 0]) ** 2)) < 0.02
    assert np.percentile(np.abs(decoded.sh[:, 1:] - scene.sh[:, 1:]), 99.9) < 0.02


def test_dearer_bits_make_a_smaller_file_that_keeps_what_is_seen(scene: Gaussians, tmp_path: Path) -> None:
    sizes, errors = [], []
    weights = quantisation_weights(scene)
    for price in (1e-6, 1e-4, 1e-2):
        write_splats(tmp_path / "a.sog", scene, WriteOptions(price=price))
        decoded = read_splats(tmp_path / "a.sog")
        decoded = decoded.take(match(scene, decoded))
        sizes.append((tmp_path / "a.sog").stat().st_size)
        errors.append(np.average(((decoded.sh - scene.sh) ** 2).sum(axis=(1, 2)), weights=weights))
    assert sizes[0] > 1.2 * sizes[1] > 1.4 * sizes[2]
    assert errors[0] < errors[1] < errors[2]


def test_file_has_the_layout_of_the_format(scene: Gaussians, sog: Path) -> None:
    with zipfile.ZipFile(sog) as archive:
        meta = json.loads(archive.read("meta.json"))
        assert all(info.compress_type == zipfile.ZIP_STORED for info in archive.infolist())
        assert (meta["version"], meta["count"], meta["shN"]["bands"]) == (2, scene.count, 3)
        with archive.open("quats.webp") as file, Image.open(file) as picture:
            assert picture.size == (48, 44)  # 4 ceil(sqrt(2000) / 4), 4 ceil(2000 / 48 / 4)
            alpha = np.asarray(picture.convert("RGBA"))[..., 3]
        assert set(np.unique(alpha)) == {252, 253, 254, 255}
        with archive.open("shN_centroids.webp") as file, Image.open(file) as picture:
            assert picture.size == (64 * 15, -(-meta["shN"]["count"] // 64))
        for section in ("scales", "sh0", "shN"):
            assert len(meta[section]["codebook"]) == 256


def test_colours_under_alpha_zero_survive(tmp_path: Path) -> None:
    scene = random_scene(64, degree=0)
    scene.opacity_logits[:] = -20.0
    write_splats(tmp_path / "a.sog", scene, WriteOptions(price=1e-7))
    decoded = read_splats(tmp_path / "a.sog")
    decoded = decoded.take(match(scene, decoded))
    np.testing.assert_allclose(decoded.sh[:, 0], scene.sh[:, 0], atol=0.02)


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_every_degree_keeps_its_bands(degree: int, tmp_path: Path) -> None:
    scene = random_scene(500, degree=degree)
    write_splats(tmp_path / "a.sog", scene)
    assert sh_degree_of(read_splats(tmp_path / "a.sog")) == degree
    with zipfile.ZipFile(tmp_path / "a.sog") as archive:
        assert ("shN_labels.webp" in archive.namelist()) == (degree > 0)


@pytest.mark.parametrize("count", [1, 3, 17])
def test_tiny_scenes(count: int, tmp_path: Path) -> None:
    scene = random_scene(count)
    write_splats(tmp_path / "a.sog", scene)
    decoded = read_splats(tmp_path / "a.sog")
    np.testing.assert_allclose(decoded.means[match(scene, decoded)], scene.means, atol=1e-3)


def test_equal_scenes_give_equal_bytes(scene: Gaussians, sog: Path, tmp_path: Path) -> None:
    write_splats(tmp_path / "again.sog", scene)
    assert (tmp_path / "again.sog").read_bytes() == sog.read_bytes()


def test_larger_palette_is_truer(scene: Gaussians, tmp_path: Path) -> None:
    errors = []
    for palette in (16, 64, 1024):
        write_splats(tmp_path / "a.sog", scene, WriteOptions(palette=palette, price=1e-6))
        decoded = read_splats(tmp_path / "a.sog")
        errors.append(np.mean((decoded.sh[match(scene, decoded), 1:] - scene.sh[:, 1:]) ** 2))
    assert errors[0] > errors[1] > errors[2]


def test_unwritable_scenes_are_refused_and_nothing_is_left(tmp_path: Path) -> None:
    scene = random_scene(10)
    scene.means[3, 1] = np.nan
    with pytest.raises(InvalidArtifact, match="not finite"):
        write_splats(tmp_path / "a.sog", scene)
    with pytest.raises(InvalidArtifact, match="no splats"):
        write_splats(tmp_path / "a.sog", random_scene(0))
    assert list(tmp_path.iterdir()) == []


def test_unknown_suffix_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="not a known splat format"):
        codec_for(Path("scene.obj"))
