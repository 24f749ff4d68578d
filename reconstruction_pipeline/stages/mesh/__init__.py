"""The surface of the scene: depth rendered from the Gaussians, fused and made into a clean, coloured mesh."""

from reconstruction_pipeline.stages.mesh.extract import extract_mesh
from reconstruction_pipeline.stages.mesh.settings import MeshSettings

__all__ = ["MeshSettings", "extract_mesh"]
