"""What a splat format must be able to do here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from reconstruction_pipeline.artifacts.errors import InvalidArtifact
from reconstruction_pipeline.artifacts.gaussian_splats import Gaussians
from reconstruction_pipeline.artifacts.ply import sh_degree_of
from reconstruction_pipeline.kernels.camera import PinholeView

OPAQUE_LOGIT = 20.0
"""Stands for an opacity of exactly 1, which has no logit; it is 1 - 2e-9."""
FLAT_LOG_SCALE = -40.0
"""Stands for a size of exactly 0, which has no logarithm."""


@dataclass(frozen=True)
class WriteOptions:
    """How to write; a format ignores what it has no use for.

    `sh_degree`: highest spherical-harmonics degree kept, 0..3 (None: the smallest that holds all that is
    not zero); `palette`: entries of SOG's SH palette (None: chosen from the count); `kmeans_iterations`:
    its refinement passes; `seed`: of every random choice, so that equal input gives equal bytes; `views`: the
    cameras the scene was captured with, in its world, so that a lossy format can be truest where it is seen;
    `spz_version`: 2, 3 or 4; `levels`: of detail in streamed SOG (None: by the count); `price`: SOG spends a bit
    where it saves this much squared error, in units of a mean splat's base colour (lower: truer and larger; None:
    by the count, small scenes being cheap).
    """

    sh_degree: int | None = None
    palette: int | None = None
    kmeans_iterations: int = 8
    seed: int = 0
    views: tuple[PinholeView, ...] = ()
    price: float | None = None
    spz_version: int = 3
    levels: int | None = None


class Codec(Protocol):
    """One file format of splats. Numbers are in the delivered y-down world on both sides."""

    name: str
    suffix: str

    def read(self, path: Path) -> Gaussians:
        """Read the file; raise `InvalidArtifact` with one sentence when it is damaged or of another kind."""

    def write(self, path: Path, gaussians: Gaussians, options: WriteOptions) -> None:
        """Write the file; raise `InvalidArtifact` when the scene cannot be held by the format."""


class Damaged(Exception):
    """What is wrong with a file, as the middle of a sentence: "it ends early"."""


def degree_to_write(gaussians: Gaussians, options: WriteOptions) -> int:
    """The spherical-harmonics degree asked for, or the smallest that loses nothing."""
    return sh_degree_of(gaussians) if options.sh_degree is None else options.sh_degree


def require_writable(path: Path, gaussians: Gaussians) -> None:
    """Refuse scenes that no quantising format can hold: empty ones, and numbers that are not finite."""
    if gaussians.count == 0:
        raise InvalidArtifact(f"{path}: the scene has no splats, so there is nothing to write; train it again.")
    if not all(np.isfinite(values).all() for values in vars(gaussians).values()):
        raise InvalidArtifact(f"{path}: the scene has numbers that are not finite; train it again.")


def require_sound(path: Path, gaussians: Gaussians) -> Gaussians:
    """A scene as read from a file, with infinite opacities and sizes of zero made finite, and null rotations none.

    Files of other tools have them (a fully opaque splat has no logit). Raises `InvalidArtifact` for any other
    number that is not finite, which no renderer could draw, and for a file without splats.
    """
    if gaussians.count == 0:
        raise InvalidArtifact(f"{path}: there is no splat in it; make it again.")
    logits, scales = gaussians.opacity_logits, gaussians.log_scales
    if np.isinf(logits).any():
        logits = np.clip(logits, -OPAQUE_LOGIT, OPAQUE_LOGIT)
    if np.isneginf(scales).any():
        scales = np.maximum(scales, FLAT_LOG_SCALE)
    quats, null = gaussians.quats, np.flatnonzero((gaussians.quats == 0).all(axis=1))
    if len(null):
        quats = quats.copy()
        quats[null] = (1.0, 0.0, 0.0, 0.0)
    scene = Gaussians(gaussians.means, scales, quats, logits, gaussians.sh)
    bad = np.zeros(scene.count, bool)
    for values in vars(scene).values():
        bad |= ~np.isfinite(values).reshape(scene.count, -1).all(axis=1)
    if bad.any():
        raise InvalidArtifact(
            f"{path}: {int(bad.sum())} of its {scene.count} splats have numbers that are not finite; make it again."
        )
    return scene
