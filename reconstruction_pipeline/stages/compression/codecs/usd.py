"""OpenUSD `ParticleField3DGaussianSplat` (schema of OpenUSD 26.03), for Omniverse and other USD tools; y up, metres.

The scene is turned from the y-down world (see `frames`). Sizes and opacities are linear, SH are those of the PLY, splat
after splat. Needs `usd-core`, an extra of this package. Written only: USD's readers follow references to other files
and are not meant for files that nobody vouches for.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from reconstruction_pipeline.artifacts.errors import MissingRequirement, UsageError
from reconstruction_pipeline.artifacts.gaussian_splats import Gaussians
from reconstruction_pipeline.artifacts.ply import SH_COEFFICIENTS
from reconstruction_pipeline.stages.compression.codecs.base import WriteOptions, degree_to_write, require_writable
from reconstruction_pipeline.stages.compression.codecs.frames import half_turn
from reconstruction_pipeline.stages.compression.codecs.importance import sigmoid
from reconstruction_pipeline.stages.compression.codecs.quantise import unit_quaternions

PRIM = "/World/Splats"


class UsdCodec:
    """`.usda` is text and large; `.usdz` is one binary package."""

    def __init__(self, suffix: str) -> None:
        self.suffix = suffix
        self.name = "OpenUSD"

    def read(self, path: Path) -> Gaussians:
        """Refuse: raises `UsageError`."""
        raise UsageError(f"{path}: USD scenes can be written, not read; give the file that it was made from.")

    def write(self, path: Path, gaussians: Gaussians, options: WriteOptions) -> None:
        """Write the scene; raises `MissingRequirement` without usd-core."""
        require_writable(path, gaussians)
        try:
            from pxr import UsdUtils, UsdVol

            if not hasattr(UsdVol, "ParticleField3DGaussianSplat"):
                raise ImportError("it is too old")
        except ImportError as error:
            raise MissingRequirement(
                f"{path}: writing USD needs usd-core 26.3 or later ({error}); run 'pip install \"usd-core>=26.3\"'."
            ) from error
        # USD judges files by their names, and `path` is a temporary one.
        with tempfile.TemporaryDirectory(prefix=".usd-", dir=path.parent) as folder:
            layer = Path(folder) / ("scene.usda" if self.suffix == ".usda" else "scene.usdc")
            _write_layer(layer, gaussians, degree_to_write(gaussians, options))
            result = layer
            if self.suffix == ".usdz":
                result = Path(folder) / "scene.usdz"
                if not UsdUtils.CreateNewUsdzPackage(str(layer), str(result)):
                    raise MissingRequirement(f"{path}: usd-core could not make the package; is the disk full?")
            result.replace(path)


def _write_layer(path: Path, gaussians: Gaussians, degree: int) -> None:
    from pxr import Usd, UsdGeom, UsdVol, Vt

    def vectors(array: Any) -> Any:
        return Vt.Vec3fArray.FromNumpy(np.ascontiguousarray(array, np.float32))

    scene = half_turn(gaussians)
    stage = Usd.Stage.CreateNew(str(path))
    UsdGeom.SetStageUpAxis(stage, UsdGeom.Tokens.y)
    UsdGeom.SetStageMetersPerUnit(stage, 1.0)
    stage.SetDefaultPrim(UsdGeom.Xform.Define(stage, "/World").GetPrim())
    splats = UsdVol.ParticleField3DGaussianSplat.Define(stage, PRIM)
    sizes = np.exp(np.clip(scene.log_scales.astype(np.float64), -80.0, 80.0))
    reach = 3.0 * sizes.max(axis=1, keepdims=True)
    splats.CreatePositionsAttr(vectors(scene.means))
    splats.CreateScalesAttr(vectors(sizes))
    # In memory a USD quaternion is xyzw.
    quats = unit_quaternions(scene.quats)[:, [1, 2, 3, 0]].astype(np.float32)
    splats.CreateOrientationsAttr(Vt.QuatfArray.FromNumpy(np.ascontiguousarray(quats)))
    splats.CreateOpacitiesAttr(Vt.FloatArray.FromNumpy(sigmoid(scene.opacity_logits).astype(np.float32)))
    splats.CreateRadianceSphericalHarmonicsDegreeAttr(degree)
    coefficients = SH_COEFFICIENTS[degree]
    harmonics = splats.CreateRadianceSphericalHarmonicsCoefficientsAttr(
        vectors(scene.sh[:, :coefficients].reshape(-1, 3))
    )
    primvar = UsdGeom.Primvar(harmonics)
    primvar.SetElementSize(coefficients)
    primvar.SetInterpolation(UsdGeom.Tokens.vertex)
    splats.CreateProjectionModeHintAttr("perspective")
    splats.CreateSortingModeHintAttr("cameraDistance")
    splats.CreateExtentAttr(vectors([(scene.means - reach).min(axis=0), (scene.means + reach).max(axis=0)]))
    stage.GetRootLayer().Save()
