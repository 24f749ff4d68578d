"""The mesh as USDZ, read by USD itself."""

from __future__ import annotations

import builtins
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reconstruction_pipeline.artifacts.errors import MissingRequirement
from reconstruction_pipeline.stages.mesh.usd import MESH, require_usd, write_usdz
from reconstruction_pipeline_tests.stages.mesh.textured import FACES, VERTICES, roof


def test_usd_reads_the_mesh_with_its_texture(tmp_path: Path) -> None:
    usd = pytest.importorskip("pxr.Usd", reason="usd-core is not installed")
    from pxr import UsdGeom, UsdShade, UsdValidation

    path = tmp_path / "mesh.usdz"
    write_usdz(path, *roof())
    with zipfile.ZipFile(path) as package:
        assert sorted(Path(name).suffix for name in package.namelist()) == [".jpg", ".usdc"]
    stage = usd.Stage.Open(str(path))
    assert UsdGeom.GetStageUpAxis(stage) == "Y"
    mesh = UsdGeom.Mesh(stage.GetPrimAtPath(MESH))
    np.testing.assert_allclose(np.array(mesh.GetPointsAttr().Get()), VERTICES * [1, -1, -1])
    np.testing.assert_array_equal(np.array(mesh.GetFaceVertexIndicesAttr().Get()).reshape(-1, 3), FACES)
    uv = np.array(UsdGeom.PrimvarsAPI(mesh).GetPrimvar("st").Get()).reshape(-1, 3, 2)
    assert np.all(uv[:2, :, 0] < 0.5) and np.all(uv[2:, :, 0] > 0.5)
    assert uv[0, 0, 1] == pytest.approx(0.95), "counted from the bottom"
    material, _ = UsdShade.MaterialBindingAPI(mesh).ComputeBoundMaterial()
    assert material.ComputeSurfaceSource()[0].GetIdAttr().Get() == "UsdPreviewSurface"
    validators = UsdValidation.ValidationRegistry().GetOrLoadAllValidators()
    assert [error.GetMessage() for error in UsdValidation.ValidationContext(validators).Validate(stage)] == []


def test_without_usd_it_is_said_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.startswith("pxr"):
            raise ImportError("no pxr")
        return usual(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingRequirement, match="usd-core"):
        require_usd()
