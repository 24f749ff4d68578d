"""The mesh as USDZ, for the viewers of phones and headsets: y up, textured, in one file.

Needs `usd-core`, an extra of this package.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from reconstruction_pipeline.artifacts.errors import MissingRequirement
from reconstruction_pipeline.stages.mesh.files import TO_Y_UP, TriangleMesh, jpeg_of

if TYPE_CHECKING:
    from reconstruction_pipeline.stages.mesh.texture import Texture

MESH, MATERIAL = "/World/Mesh", "/World/Material"


def require_usd() -> None:
    """Raise MissingRequirement without usd-core."""
    try:
        import pxr.UsdUtils  # noqa: F401
    except ImportError as error:
        raise MissingRequirement(
            "mesh: the USDZ that was asked for needs usd-core; run \"pip install 'reconstruction-pipeline[usd]'\"."
        ) from error


def write_usdz(path: Path, mesh: TriangleMesh, texture: Texture) -> None:
    """Write the textured mesh; raises MissingRequirement without usd-core."""
    require_usd()
    from pxr import UsdUtils

    # USD judges files by their names, and packs what lies beside the layer.
    with tempfile.TemporaryDirectory(prefix=".usd-", dir=path.parent) as folder:
        layer, package = Path(folder) / "mesh.usdc", Path(folder) / "mesh.usdz"
        (Path(folder) / "texture.jpg").write_bytes(jpeg_of(texture.image))
        _write_layer(layer, mesh, texture, "texture.jpg")
        if not UsdUtils.CreateNewUsdzPackage(str(layer), str(package)):
            raise MissingRequirement(f"{path}: usd-core could not make the package; is the disk full?")
        package.replace(path)


def _write_layer(path: Path, mesh: TriangleMesh, texture: Texture, picture: str) -> None:
    from pxr import Sdf, Usd, UsdGeom, UsdShade, Vt

    stage: Any = Usd.Stage.CreateNew(str(path))
    UsdGeom.SetStageUpAxis(stage, UsdGeom.Tokens.y)
    UsdGeom.SetStageMetersPerUnit(stage, 1.0)
    stage.SetDefaultPrim(UsdGeom.Xform.Define(stage, "/World").GetPrim())
    points = np.ascontiguousarray(mesh.vertices * TO_Y_UP, np.float32)
    surface = UsdGeom.Mesh.Define(stage, MESH)
    surface.CreatePointsAttr(Vt.Vec3fArray.FromNumpy(points))
    surface.CreateFaceVertexCountsAttr(Vt.IntArray.FromNumpy(np.full(len(mesh.faces), 3, np.int32)))
    surface.CreateFaceVertexIndicesAttr(Vt.IntArray.FromNumpy(np.ascontiguousarray(mesh.faces.ravel(), np.int32)))
    surface.CreateNormalsAttr(Vt.Vec3fArray.FromNumpy(np.ascontiguousarray(mesh.normals * TO_Y_UP, np.float32)))
    surface.SetNormalsInterpolation(UsdGeom.Tokens.vertex)
    surface.CreateSubdivisionSchemeAttr(UsdGeom.Tokens.none)
    surface.CreateDoubleSidedAttr(True)
    surface.CreateExtentAttr(Vt.Vec3fArray.FromNumpy(np.stack([points.min(axis=0), points.max(axis=0)])))
    # USD counts from the bottom of the picture.
    uv = np.column_stack([texture.uv[:, 0], 1.0 - texture.uv[:, 1]])[texture.corners.ravel()]
    primvar = UsdGeom.PrimvarsAPI(surface).CreatePrimvar(
        "st", Sdf.ValueTypeNames.TexCoord2fArray, UsdGeom.Tokens.faceVarying
    )
    primvar.Set(Vt.Vec2fArray.FromNumpy(np.ascontiguousarray(uv, np.float32)))
    material = UsdShade.Material.Define(stage, MATERIAL)
    reader, shown, surfaced = (
        UsdShade.Shader.Define(stage, f"{MATERIAL}/{name}") for name in ("Reader", "Texture", "Surface")
    )
    reader.CreateIdAttr("UsdPrimvarReader_float2")
    reader.CreateInput("varname", Sdf.ValueTypeNames.String).Set("st")
    shown.CreateIdAttr("UsdUVTexture")
    shown.CreateInput("file", Sdf.ValueTypeNames.Asset).Set(picture)
    shown.CreateInput("sourceColorSpace", Sdf.ValueTypeNames.Token).Set("sRGB")
    for side in ("wrapS", "wrapT"):
        shown.CreateInput(side, Sdf.ValueTypeNames.Token).Set("clamp")
    shown.CreateInput("st", Sdf.ValueTypeNames.Float2).ConnectToSource(
        reader.CreateOutput("result", Sdf.ValueTypeNames.Float2)
    )
    colour = shown.CreateOutput("rgb", Sdf.ValueTypeNames.Float3)
    surfaced.CreateIdAttr("UsdPreviewSurface")
    surfaced.CreateInput("diffuseColor", Sdf.ValueTypeNames.Color3f).ConnectToSource(colour)
    surfaced.CreateInput("roughness", Sdf.ValueTypeNames.Float).Set(1.0)
    surfaced.CreateInput("metallic", Sdf.ValueTypeNames.Float).Set(0.0)
    material.CreateSurfaceOutput().ConnectToSource(surfaced.CreateOutput("surface", Sdf.ValueTypeNames.Token))
    UsdShade.MaterialBindingAPI.Apply(surface.GetPrim()).Bind(material)
    stage.GetRootLayer().Save()
