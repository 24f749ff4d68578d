"""What the mesh stage may be told."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from reconstruction_pipeline.artifacts.errors import UsageError
from reconstruction_pipeline.stages.mesh.crop import Box

OBJECT: Literal["object"] = "object"


@dataclass(frozen=True)
class MeshSettings:
    """Depth rendered from the Gaussians, fused into a distance field, cleaned and reduced."""

    render_side: int = 640
    """Longest side of the rendered depth in pixels; never larger than the images."""
    resolution: int = 320
    """Voxels along the longest side of the region that is seen; coarser where the depth is coarser."""
    max_faces: int = 200_000
    """Faces after decimation."""
    min_alpha: float = 0.6
    """Pixels that the Gaussians cover less are unknown."""
    min_cosine: float = 0.12
    """Surfaces seen at a flatter angle are not fused from that view."""
    depth_tolerance: float = 0.015
    """Views agree about a surface when their depths differ by less than this share."""
    min_consistent: int = 2
    """Other views that must agree (fewer where there are fewer)."""
    plain_reach: float = 0.08
    """Share of a picture's longest side over which depth without texture and without measured depth is smoothed."""
    truncation_voxels: float = 4.0
    """Half the width of the distance field's band, at least."""
    smoothing_rounds: int = 10
    """Rounds of Taubin smoothing of the surface."""
    denoising_rounds: int = 25
    """Rounds of bilateral filtering of the normals after decimation; 0 for none."""
    denoising_sigma: float = 0.35
    """Normals whose difference is longer than about this (0.35: 20 degrees) are of different surfaces."""
    max_hole_edges: int = 24
    """Holes with at most this many border edges are filled."""
    texture_side: int = 1600
    """Longest side of the pictures that the texture is cut from, pixels; never enlarged."""
    max_texture: int = 4096
    """Longest side of the texture, pixels."""
    crop: str = ""
    """Make a mesh only of what lies in a box: "object" for the one that the cameras look at from around it, or
    "x0,y0,z0,x1,y1,z1" in the world of mesh.ply (y down). Empty: everything."""
    without_table: bool = False
    """Remove the level surface that carries the most of what is seen, and everything below."""
    usdz: bool = False
    """Write `mesh.usdz`, too."""
    threads: int | None = None
    """None: as many as there are cores."""
    accepted_dominance: float = 0.5
    """Gate: share of the faces in the largest connected component."""
    accepted_coverage: float = 0.6
    """Gate: share of the depth that was fused which the mesh meets, within two voxels or `depth_tolerance`."""

    def __post_init__(self) -> None:
        self.box  # noqa: B018 - says now what the stage would say after minutes

    @property
    def box(self) -> Box | Literal["object"] | None:
        """What `crop` says; raises `UsageError` where that cannot be meant."""
        if self.crop in ("", OBJECT):
            return OBJECT if self.crop else None
        try:
            numbers = [float(part) for part in self.crop.split(",")]
        except ValueError:
            numbers = []
        if len(numbers) != 6 or not all(map(math.isfinite, numbers)) or any(
            a >= b for a, b in zip(numbers[:3], numbers[3:], strict=True)
        ):  # fmt: skip
            raise UsageError(
                f"crop is '{self.crop}'; give 'object', or the lower and the upper corner of a box as six numbers: "
                "x0,y0,z0,x1,y1,z1."
            )
        return Box(np.array(numbers[:3]), np.array(numbers[3:]))
