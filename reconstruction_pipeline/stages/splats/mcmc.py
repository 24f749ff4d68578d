"""3D Gaussian splatting as Markov chain Monte Carlo (Kheradmand et al., NeurIPS 2024).

Dead Gaussians are moved onto live ones, growth copies live ones, and both share the opacity and
shrink the scales by the paper's eq. 9, so that the picture hardly changes. Noise keeps faint
Gaussians exploring. Pure steps on explicit state: planes and Adam moments are changed in place.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.kernels import layout

MAX_COPIES = 51
"""More copies of one Gaussian than this in one step are not told apart (as in the authors' code)."""

Planes = npt.NDArray[np.float32]


@lru_cache(maxsize=1)
def _coefficients() -> npt.NDArray[np.float64]:
    """(MAX_COPIES + 1, MAX_COPIES): row N, column k: sum_{i=k+1}^{N} C(i-1, k) (-1)^k / sqrt(k + 1)."""
    from math import comb, sqrt

    table = np.zeros((MAX_COPIES + 1, MAX_COPIES))
    for n in range(1, MAX_COPIES + 1):
        for k in range(n):
            # sum of C(i - 1, k) over i = k + 1 .. n is C(n, k + 1)
            table[n, k] = comb(n, k + 1) * (-1.0) ** k / sqrt(k + 1.0)
    return table


def share_opacity(
    opacity: npt.NDArray[np.floating], copies: npt.NDArray[np.integer]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Opacity (M,) of each of `copies` Gaussians that replace one, and the factor (M,) on its scales (eq. 9)."""
    o = np.clip(np.asarray(opacity, np.float64), 1e-6, 1.0 - 1e-6)
    n = np.clip(copies, 1, MAX_COPIES)
    new = -np.expm1(np.log1p(-o) / n)
    powers = new[:, None] ** np.arange(1, MAX_COPIES + 1)
    return new, o / np.sum(_coefficients()[n] * powers, axis=1)


def opacities(planes: Planes, count: int) -> npt.NDArray[np.float64]:
    """Opacity (count,) in 0..1."""
    return 1.0 / (1.0 + np.exp(-planes[layout.OPACITY, :count].astype(np.float64)))


def _place_copies(
    planes: Planes,
    moments: tuple[Planes, Planes],
    tallies: Planes,
    sources: npt.NDArray[np.integer],
    slots: npt.NDArray[np.integer],
    opacity: npt.NDArray[np.float64],
    min_opacity: float,
) -> None:
    """Write a copy of Gaussian sources[i] into column slots[i]; sources and copies share opacity and size."""
    unique, copies = np.unique(sources, return_counts=True)
    new, shrink = share_opacity(opacity[unique], copies + 1)
    new = np.clip(new, min_opacity, 1.0 - 1e-6)
    planes[layout.OPACITY, unique] = np.log(new / (1.0 - new)).astype(np.float32)
    planes[layout.LOG_SCALE : layout.LOG_SCALE + 3, unique] += np.log(shrink).astype(np.float32)
    planes[:, slots] = planes[:, sources]
    tallies[:, slots] = tallies[:, sources]
    for moment in moments:
        # The moments belonged to Gaussians that are no more: a copy must not go on in their direction.
        moment[:, unique] = 0.0
        moment[:, slots] = 0.0


def relocate(
    planes: Planes,
    moments: tuple[Planes, Planes],
    tallies: Planes,
    count: int,
    rng: np.random.Generator,
    min_opacity: float,
    weight: npt.NDArray[np.floating] | None = None,
    useless: npt.NDArray[np.bool_] | None = None,
) -> int:
    """Move every dead Gaussian (and every `useless` (count,) one) onto a live one; returns how many were moved.

    Live ones are drawn by opacity, times `weight` (count,) if given. `tallies` (k, capacity) are copied along.
    """
    opacity = opacities(planes, count)
    is_dead = ~(opacity > min_opacity)
    if useless is not None:
        is_dead |= useless
    dead = np.flatnonzero(is_dead)
    chance = np.where(is_dead, 0.0, opacity if weight is None else opacity * weight)
    total = float(chance.sum())
    if not dead.size or not total > 0.0:
        return 0
    sources = rng.choice(count, dead.size, p=chance / total)
    _place_copies(planes, moments, tallies, sources, dead, opacity, min_opacity)
    return int(dead.size)


def grow(
    planes: Planes,
    moments: tuple[Planes, Planes],
    tallies: Planes,
    count: int,
    target: int,
    rng: np.random.Generator,
    min_opacity: float,
    weight: npt.NDArray[np.floating] | None = None,
) -> int:
    """Add copies of live Gaussians until there are `target` (at most the columns there are); returns the new count.

    Drawn by opacity, times `weight` (count,) if given.
    """
    target = min(target, planes.shape[1])
    added = target - count
    if added <= 0 or count == 0:
        return count
    opacity = opacities(planes, count)
    chance = opacity if weight is None else opacity * np.maximum(weight[:count], 0.0)
    total = float(chance.sum())
    if not total > 0.0:
        return count
    sources = rng.choice(count, added, p=chance / total)
    _place_copies(planes, moments, tallies, sources, np.arange(count, target), opacity, min_opacity)
    return target
