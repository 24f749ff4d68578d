"""Handedness, up, colours and view dependence through every conversion, judged by our own renderer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from reconstruction_pipeline.artifacts.gaussian_splats import Gaussians
from reconstruction_pipeline.stages.compression.codecs import (
    CODECS,
    READ_ONLY,
    WRITE_ONLY,
    WriteOptions,
    read_splats,
    write_splats,
)
from reconstruction_pipeline.stages.compression.convert import convert
from reconstruction_pipeline.stages.compression.edits import limit_harmonics, turn
from reconstruction_pipeline_tests.stages.compression.asymmetric import asymmetric_scene, pictures, psnr_of_worst
from reconstruction_pipeline_tests.stages.compression.ksplat_files import ksplat_bytes

STREAMED = "lod-meta.json"
LEAST_DB = {".ply": 100, ".glb": 100, ".sog": 45, STREAMED: 45, ".compressed.ply": 36, ".spz": 34, ".splat": 45}
"""The worst of three views against the original, where something is shown; any wrong axis gives less than 23."""
FLAT = ".splat"  # holds the base colour only, so it is compared with that


@pytest.fixture(scope="module")
def scene() -> Gaussians:
    return asymmetric_scene()


@pytest.fixture(scope="module")
def truth(scene: Gaussians) -> dict[bool, np.ndarray]:
    """Renders with and without view-dependent colour, by whether it is there."""
    return {True: pictures(scene), False: pictures(limit_harmonics(scene, 0))}


def test_the_measure_sees_every_kind_of_mistake(scene: Gaussians, truth: dict[bool, np.ndarray]) -> None:
    def changed(**arrays: np.ndarray) -> Gaussians:
        return Gaussians(**(vars(scene) | arrays))

    signs = np.ones((16, 1), np.float32)
    signs[[1, 3]] = -1
    wrong = {
        "mirrored": changed(means=scene.means * np.float32([-1, 1, 1])),
        "upside down": turn(scene, np.diag([-1.0, -1.0, 1.0])),
        "y and z flipped": turn(scene, np.diag([1.0, -1.0, -1.0])),
        "quaternions as xyzw": changed(quats=scene.quats[:, [1, 2, 3, 0]].copy()),
        "rotations inverted": changed(quats=scene.quats * np.float32([1, -1, -1, -1])),
        "red and blue swapped": changed(sh=scene.sh[:, :, ::-1].copy()),
        "degree 1 of another frame": changed(sh=scene.sh * signs),
        "degree 3 lost": limit_harmonics(scene, 2),
        "no view dependence": limit_harmonics(scene, 0),
    }
    for name, variant in wrong.items():
        assert psnr_of_worst(variant, truth[True]) < 23, name


@pytest.mark.parametrize("source", sorted(set(CODECS) - WRITE_ONLY - READ_ONLY))
@pytest.mark.parametrize("target", sorted(set(CODECS) - WRITE_ONLY - READ_ONLY))
def test_every_conversion_keeps_the_scene(
    source: str, target: str, scene: Gaussians, truth: dict[bool, np.ndarray], tmp_path: Path
) -> None:
    here, there = (
        tmp_path / folder / (name if name == STREAMED else f"scene{name}")
        for folder, name in (("a", source), ("b", target))
    )
    write_splats(here, scene)
    convert(here, there)
    result = read_splats(there)
    assert result.count == scene.count
    # Two lossy steps may add up.
    least = min(LEAST_DB[source], LEAST_DB[target]) - (3 if source != target else 1)
    assert psnr_of_worst(result, truth[FLAT not in (source, target)]) > least


@pytest.mark.parametrize("version", [2, 3, 4])
def test_every_version_of_spz_keeps_the_scene(
    version: int, scene: Gaussians, truth: dict[bool, np.ndarray], tmp_path: Path
) -> None:
    write_splats(tmp_path / "a.spz", scene, WriteOptions(spz_version=version))
    assert psnr_of_worst(read_splats(tmp_path / "a.spz"), truth[True]) > LEAST_DB[".spz"]


@pytest.mark.parametrize("level", [0, 1, 2])
def test_ksplat_keeps_the_scene(level: int, scene: Gaussians, tmp_path: Path) -> None:
    """It has two degrees of view-dependent colour, and bytes for the base colour, which it cuts at 0 and 1."""
    (tmp_path / "a.ksplat").write_bytes(ksplat_bytes(scene, level))
    convert(tmp_path / "a.ksplat", tmp_path / "b.ply")
    assert psnr_of_worst(read_splats(tmp_path / "b.ply"), pictures(limit_harmonics(scene, 2))) > 40


def test_rotation_there_and_back_through_files(scene: Gaussians, truth: dict[bool, np.ndarray], tmp_path: Path) -> None:
    write_splats(tmp_path / "a.ply", scene)
    convert(tmp_path / "a.ply", tmp_path / "b.glb", rotate=(180.0, 0.0, 0.0))
    assert psnr_of_worst(read_splats(tmp_path / "b.glb"), truth[True]) < 20
    convert(tmp_path / "b.glb", tmp_path / "c.ply", rotate=(180.0, 0.0, 0.0))
    assert psnr_of_worst(read_splats(tmp_path / "c.ply"), truth[True]) > 80
