"""What a splat format must be able to do here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from reconstruction_pipeline.artifacts.gaussian_splats import Gaussians
from reconstruction_pipeline.kernels.camera import PinholeView


@dataclass(frozen=True)
class WriteOptions:
    """How to write; a format ignores what it has no use for.

    `sh_degree`: highest spherical-harmonics degree kept, 0..3 (None: the smallest that holds all that is
    not zero); `palette`: entries of SOG's SH palette (None: chosen from the count); `kmeans_iterations`:
    its refinement passes; `seed`: of every random choice, so that equal input gives equal bytes; `views`: the
    cameras the scene was captured with, in its world, so that a lossy format can be truest where it is seen.
    """

    sh_degree: int | None = None
    palette: int | None = None
    kmeans_iterations: int = 8
    seed: int = 0
    views: tuple[PinholeView, ...] = ()


class Codec(Protocol):
    """One file format of splats. Numbers are in the delivered y-down world on both sides."""

    name: str
    suffix: str

    def read(self, path: Path) -> Gaussians:
        """Read the file; raise `InvalidArtifact` with one sentence when it is damaged or of another kind."""

    def write(self, path: Path, gaussians: Gaussians, options: WriteOptions) -> None:
        """Write the file; raise `InvalidArtifact` when the scene cannot be held by the format."""
