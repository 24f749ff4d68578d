"""The surface of the scene."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from reconstruction_pipeline.artifacts.base import Artifact

if TYPE_CHECKING:
    import trimesh


@dataclass(frozen=True)
class Mesh(Artifact):
    """`mesh.ply` in the delivered y-down world, with colours at its vertices; `mesh.glb` with its texture inside and
    `mesh.obj` with `mesh.mtl` and `mesh.jpg`, y-up."""

    KIND: ClassVar[str] = "mesh"
    REQUIRED: ClassVar[tuple[str, ...]] = ("mesh.ply", "mesh.glb")

    def trimesh(self) -> trimesh.Trimesh:
        """Vertices, faces and vertex colours of `mesh.ply`."""
        import trimesh

        return trimesh.load_mesh(self.path("mesh.ply"), process=False)
