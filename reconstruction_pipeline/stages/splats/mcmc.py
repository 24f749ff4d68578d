"""3D Gaussian splatting as Markov chain Monte Carlo (Kheradmand et al., NeurIPS 2024).

Dead Gaussians are moved onto live ones, growth copies live ones, and both share the opacity and
shrink the scales by the paper's eq. 9, so that the picture hardly changes. Noise keeps faint
Gaussians exploring. What moves where is decided here, on opacities; `place` carries it out on any device.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.kernels import layout

MAX_COPIES = 51
"""More copies of one Gaussian than this in one step are not told apart (as in the authors' code)."""


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


def opacities(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Opacity in 0..1 of each logit."""
    return 1.0 / (1.0 + np.exp(-logits.astype(np.float64)))


class Moves(NamedTuple):
    """Columns to copy: sources[i] (M,) becomes slots[i] (M,), none of which is a source.

    `shared` (U,) are the distinct sources; before they are copied, their opacity becomes `logits` (U,) and
    `log_shrink` (U,) is added to their log scales, so that source and copies together look as before.
    """

    sources: npt.NDArray[np.integer]
    slots: npt.NDArray[np.integer]
    shared: npt.NDArray[np.integer]
    logits: npt.NDArray[np.float32]
    log_shrink: npt.NDArray[np.float32]


def _moves(
    sources: npt.NDArray[np.integer],
    slots: npt.NDArray[np.integer],
    opacity: npt.NDArray[np.float64],
    min_opacity: float,
) -> Moves:
    shared, copies = np.unique(sources, return_counts=True)
    new, shrink = share_opacity(opacity[shared], copies + 1)
    new = np.clip(new, min_opacity, 1.0 - 1e-6)
    logits = np.log(new / (1.0 - new)).astype(np.float32)
    return Moves(sources, slots, shared, logits, np.log(shrink).astype(np.float32))


def place(moves: Moves, planes: Any, moments: tuple[Any, Any], tallies: Any, put: Callable[[Any], Any]) -> None:
    """Carry out `moves` on a device's planes and moments (59, capacity) and tallies (k, capacity), in place."""
    sources, slots, shared = put(moves.sources), put(moves.slots), put(moves.shared)
    planes[layout.OPACITY, shared] = put(moves.logits)
    planes[layout.LOG_SCALE : layout.LOG_SCALE + 3, shared] += put(moves.log_shrink)
    planes[:, slots] = planes[:, sources]
    tallies[:, slots] = tallies[:, sources]
    for moment in moments:
        # The moments belonged to Gaussians that are no more: a copy must not go on in their direction.
        moment[:, shared] = 0.0
        moment[:, slots] = 0.0


def relocation(
    opacity: npt.NDArray[np.float64],
    rng: np.random.Generator,
    min_opacity: float,
    weight: npt.NDArray[np.floating] | None = None,
    useless: npt.NDArray[np.bool_] | None = None,
) -> Moves | None:
    """Every dead Gaussian (and every `useless` (count,) one) onto a live one; None where there is nothing to do.

    Live ones are drawn by `opacity` (count,), times `weight` (count,) if given.
    """
    count = len(opacity)
    is_dead = ~(opacity > min_opacity)
    if useless is not None:
        is_dead |= useless
    dead = np.flatnonzero(is_dead)
    chance = np.where(is_dead, 0.0, opacity if weight is None else opacity * weight)
    total = float(chance.sum())
    if not dead.size or not total > 0.0:
        return None
    sources = rng.choice(count, dead.size, p=chance / total)
    return _moves(sources, dead, opacity, min_opacity)


def growth(
    opacity: npt.NDArray[np.float64],
    target: int,
    rng: np.random.Generator,
    min_opacity: float,
    weight: npt.NDArray[np.floating] | None = None,
) -> Moves | None:
    """Copies of live Gaussians into new columns until there are `target`; None where there is nothing to do.

    Drawn by `opacity` (count,), times `weight` (count,) if given.
    """
    count = len(opacity)
    added = target - count
    if added <= 0 or count == 0:
        return None
    chance = opacity if weight is None else opacity * np.maximum(weight[:count], 0.0)
    total = float(chance.sum())
    if not total > 0.0:
        return None
    sources = rng.choice(count, added, p=chance / total)
    return _moves(sources, np.arange(count, target), opacity, min_opacity)
