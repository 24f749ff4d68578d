"""USD files as OpenUSD itself reads them."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from reconstruction_pipeline.artifacts.errors import InvalidArtifact, MissingRequirement, UsageError
from reconstruction_pipeline.artifacts.gaussian_splats import Gaussians
from reconstruction_pipeline.stages.compression.codecs import WriteOptions, read_splats, write_splats
from reconstruction_pipeline_tests.stages.compression.asymmetric import asymmetric_scene, pictures, psnr_of_worst
from reconstruction_pipeline_tests.stages.compression.scenes import random_scene


def read_usd(path: Path) -> Gaussians:
    """With OpenUSD, and turned by hand: y up to y down is (-x, -y, z)."""
    from pxr import Usd, UsdGeom, UsdVol

    stage = Usd.Stage.Open(str(path))
    assert UsdGeom.GetStageUpAxis(stage) == "Y" and UsdGeom.GetStageMetersPerUnit(stage) == 1.0
    assert str(stage.GetDefaultPrim().GetPath()) == "/World"
    splats = UsdVol.ParticleField3DGaussianSplat(stage.GetPrimAtPath("/World/Splats"))
    means = np.array(splats.GetPositionsAttr().Get())
    n = len(means)
    degree = splats.GetRadianceSphericalHarmonicsDegreeAttr().Get()
    harmonics = splats.GetRadianceSphericalHarmonicsCoefficientsAttr()
    assert UsdGeom.Primvar(harmonics).GetElementSize() == (degree + 1) ** 2
    turn = np.array([(-1.0) ** m for band in range(4) for m in range(-band, band + 1)])[:, None]
    sh = np.zeros((n, 16, 3))
    sh[:, : (degree + 1) ** 2] = np.array(harmonics.Get()).reshape(n, -1, 3)
    quats = [(q.GetReal(), *q.GetImaginary()) for q in splats.GetOrientationsAttr().Get()]
    w, x, y, z = np.array(quats).T
    opacity = np.array(splats.GetOpacitiesAttr().Get(), np.float64)
    low, high = np.array(splats.GetExtentAttr().Get())
    assert (means > low).all() and (means < high).all()
    arrays = (
        means * (-1, -1, 1),
        np.log(np.array(splats.GetScalesAttr().Get())),
        np.stack([-z, -y, x, w], axis=1),
        np.log(opacity / (1 - opacity)),
        sh * turn,
    )
    return Gaussians(*(np.ascontiguousarray(array, np.float32) for array in arrays))


@pytest.mark.parametrize("suffix", ["usda", "usdz"])
def test_openusd_reads_the_scene(suffix: str, tmp_path: Path) -> None:
    scene = asymmetric_scene()
    write_splats(tmp_path / f"a.{suffix}", scene)
    assert [path.name for path in tmp_path.iterdir()] == [f"a.{suffix}"]
    copy = read_usd(tmp_path / f"a.{suffix}")
    assert copy.count == scene.count
    assert psnr_of_worst(copy, pictures(scene)) > 80


def test_openusd_s_validators_find_nothing(tmp_path: Path) -> None:
    from pxr import Usd, UsdValidation

    write_splats(tmp_path / "a.usdz", random_scene(50, degree=2))
    validators = UsdValidation.ValidationRegistry().GetOrLoadAllValidators()
    context = UsdValidation.ValidationContext(validators)
    errors = context.Validate(Usd.Stage.Open(str(tmp_path / "a.usdz")))
    assert [error.GetMessage() for error in errors] == []


def test_the_degree_asked_for_is_written(tmp_path: Path) -> None:
    scene = random_scene(20)
    write_splats(tmp_path / "a.usda", scene, WriteOptions(sh_degree=1))
    np.testing.assert_allclose(read_usd(tmp_path / "a.usda").sh[:, :4], scene.sh[:, :4], atol=1e-6)
    assert "radiance:sphericalHarmonicsDegree = 1" in (tmp_path / "a.usda").read_text()


def test_what_cannot_be_done_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.usda").write_text("#usda 1.0")
    with pytest.raises(UsageError, match="written, not read"):
        read_splats(tmp_path / "a.usda")
    with pytest.raises(InvalidArtifact, match="no splats"):
        write_splats(tmp_path / "b.usdz", random_scene(0))
    monkeypatch.setitem(sys.modules, "pxr", None)
    with pytest.raises(MissingRequirement, match="usd-core"):
        write_splats(tmp_path / "b.usdz", random_scene(5))
    assert [path.name for path in tmp_path.iterdir()] == ["a.usda"]
