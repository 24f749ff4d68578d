"""The motion of a turntable, from matches: one axis, and an angle for each picture.

All pictures are taken by one camera that the object turns before; or, which is the same, by a camera on a circle that
keeps facing the axis in the same way. Then two pictures differ by a rotation about one line, the same for all:

    x_second = R(axis, turn) (x_first - point) + point        in the frame of the camera

Fitzgibbon, Cross and Zisserman, "Automatic 3D model construction for turn-table sequences", SMILE 1998. They estimate
fundamental matrices and then what these have in common; here the few numbers that all pictures share (focal length,
the line, the speed) are fitted to the matches of all pairs at once, from many starts, with a loss that wrong matches
hardly move; then each picture gets an angle of its own.

Lengths in the picture are in units of its longest side, from its centre; the camera is one unit of space from the
axis, along its line of sight.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

# Where the search starts: turns of the whole sequence in degrees (both ways), how far the camera looks down, and focal
# lengths where none is known: pictures close to each other fit any, with another turn; those far apart tell.
TURNS_DEG = (30, 45, 60, 90, 135, 180, 225, 270, 315, 360, 450, 540, 720)
ELEVATIONS_DEG, FOCALS = (3.0, 20.0, 40.0, 60.0), (0.55, 0.75, 1.0, 1.33, 1.78, 2.4)
# Steps between focal lengths looked at afterwards, around the best. What twice or half the usual one costs, where
# nothing tells, is half of this.
HALVED, UNUSUAL = (1.155, 1.075, 1.037), 0.02
# A camera does not look up to a turntable, nor straight down on it, and is held nearly level.
LOWEST_DEG, HIGHEST_DEG, ROLLED_DEG = -8.0, 85.0, 45.0
FOCAL_RANGE = (0.4, 4.0)
# Residuals beyond this count less; matches within LIMIT agree.
SCALE, LIMIT = 0.0015, 0.004
# Places apart within which pairs are looked at first, and how many starts are followed.
NEAR, FOLLOWED = 5, 2
# Matches used: of a pair, in the search, to compare focal lengths, and in the end.
MOST_OF_PAIR, MOST_FIRST, MOST_COMPARED, MOST_LAST = 40, 600, 1500, 6000
# How uneven the steps of a turntable may be, as a share of the usual one, before the matches must insist on it.
UNEVEN = 0.5
# Even steps may be this many times further off than a match: what counts as wrong is decided in the end.
WIDE = 6.0


@dataclass(frozen=True)
class Matched:
    """Matches between the pictures of a sequence. `pairs` (P, 2): places of pictures, first before second;
    `pair` (M,): the row of `pairs` that a match belongs to; `first`, `second` (M, 2): where it is in either.
    """

    pairs: Rows
    pair: Rows
    first: Array
    second: Array

    def some(self, rows: npt.NDArray[Any]) -> Matched:
        """Some of the matches."""
        return Matched(self.pairs, self.pair[rows], self.first[rows], self.second[rows])

    def within(self, places: int) -> npt.NDArray[np.bool_]:
        """(M,) matches of pairs at most so many places apart."""
        return np.asarray(np.diff(self.pairs, axis=1)[:, 0] <= places)[self.pair]


@dataclass(frozen=True)
class SingleAxis:
    """`focal` in units of the longest side; `axis` (3,) unit, downwards, and `point` (3,) on it, in the camera's frame;
    `angles` (N,) radians, 0 for the first picture. `share`: of the matches of pictures close to each other that agree.
    """

    focal: float
    axis: Array
    point: Array
    angles: Array
    share: float

    def poses(self) -> tuple[Array, Array]:
        """World-to-camera rotations (N, 3, 3) and translations (N, 3); the world is the first camera's frame."""
        rotations = turned(self.axis, self.angles)
        return rotations, self.point - rotations @ self.point

    @property
    def elevation_deg(self) -> float:
        """How far the camera looks down on the turntable."""
        return float(np.degrees(np.arcsin(self.axis[2])))

    def agreeing(self, matched: Matched) -> npt.NDArray[np.bool_]:
        """(M,) matches that the motion allows: near the epipolar line, in front of both cameras."""
        return _agreeing(self.focal, self.axis, self.point, self.angles, matched)


def fit_single_axis(matched: Matched, when: Array, focal: float | None = None, seed: int = 0) -> SingleAxis | None:
    """The motion that most matches agree with; None where there are hardly any matches.

    `when` (N,): when each picture was taken, 0 to 1, ascending; a turntable runs evenly, or nearly so. `focal`, where
    it is known, is held.
    """
    rng = np.random.default_rng(seed)
    near = np.flatnonzero(matched.within(NEAR))
    if len(near) < 8 * len(when):
        return None
    first = matched.some(np.sort(rng.permutation(near)[:MOST_FIRST]))
    every = matched.some(_few_of_each(matched.pair, rng))
    few = every.some(np.sort(rng.permutation(len(every.pair))[:MOST_COMPARED]))

    def guessed(guess: float) -> tuple[float, Array, Array, Array]:
        start = _evenly(guess, when, first)
        even = start[4] * when
        common, angles = _each_by_itself(start[:4], even, few, (WIDE * SCALE,))
        return _cost(common, angles, every) + UNUSUAL * np.log(guess) ** 2, even, common, angles

    guesses = {guess: guessed(guess) for guess in ((focal,) if focal else FOCALS)}
    best = min(guesses, key=lambda guess: guesses[guess][0])
    for half in () if focal else HALVED:
        guesses |= {guess: guessed(guess) for guess in (best * half, best / half)}
        best = min(guesses, key=lambda guess: guesses[guess][0])
    _, even, common, angles = guesses[best]
    common, angles = _each_by_itself(common, angles, every, (WIDE * SCALE, SCALE), even, focal_held=focal is not None)
    close = _agreeing(*_common(common), angles, matched.some(near))
    return SingleAxis(*_common(common), angles, float(close.mean()))


def turned(axis: Array, angles: Array) -> Array:
    """(K, 3, 3) rotations by `angles` (K,) about the unit vector `axis` (Rodrigues)."""
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    sine, cosine = np.sin(angles)[:, None, None], np.cos(angles)[:, None, None]
    return np.asarray(np.eye(3) + sine * cross + (1 - cosine) * (cross @ cross))


def _common(x: Array) -> tuple[float, Array, Array]:
    """Focal length, axis and a point on it from (log focal, elevation, roll, shift of the axis sideways, ...)."""
    elevation, roll = x[1], x[2]
    axis = np.array([np.sin(roll) * np.cos(elevation), np.cos(roll) * np.cos(elevation), np.sin(elevation)])
    return float(np.exp(x[0])), axis, np.array([x[3], 0.0, 1.0])


def _few_of_each(pair: Rows, rng: np.random.Generator) -> Rows:
    """Up to MOST_OF_PAIR matches of each pair, MOST_LAST in all; rows, sorted."""
    order = rng.permutation(len(pair))
    order = order[np.argsort(pair[order], kind="stable")]
    starts = np.searchsorted(pair[order], pair[order])
    few = order[np.arange(len(order)) - starts < MOST_OF_PAIR]
    return np.sort(rng.permutation(few)[:MOST_LAST])


def _geometry(focal: float, axis: Array, point: Array, angles: Array, matched: Matched) -> tuple[Array, ...]:
    """Rays (M, 3) of both sides, and rotations (M, 3, 3) and shifts (M, 3) from the first camera to the second."""
    rotations = turned(axis, np.diff(angles[matched.pairs], axis=1)[:, 0])
    shifts = point - rotations @ point
    one = np.ones((len(matched.pair), 1))
    rays = (np.hstack([xy / focal, one]) for xy in (matched.first, matched.second))
    return *rays, rotations[matched.pair], shifts[matched.pair]


def _distances(focal: float, axis: Array, point: Array, angles: Array, matched: Matched) -> Array:
    """(M,) signed first-order distances to the epipolar geometry (Hartley and Zisserman, 11.4.3)."""
    a, b, rotations, shifts = _geometry(focal, axis, point, angles, matched)
    turned_a = np.einsum("mij,mj->mi", rotations, a)
    lines_b = np.cross(shifts, turned_a)
    lines_a = np.einsum("mji,mj->mi", rotations, np.cross(b, shifts))
    slope = (lines_b[:, :2] ** 2).sum(axis=1) + (lines_a[:, :2] ** 2).sum(axis=1)
    return np.asarray(focal * (b * lines_b).sum(axis=1) / np.sqrt(np.maximum(slope, 1e-18)))


def _agreeing(focal: float, axis: Array, point: Array, angles: Array, matched: Matched) -> npt.NDArray[np.bool_]:
    a, b, rotations, shifts = _geometry(focal, axis, point, angles, matched)
    turned_a = np.einsum("mij,mj->mi", rotations, a)
    # Least squares of depth_a * turned_a - depth_b * b = -shift, two unknowns a match.
    aa, bb, ab = (turned_a**2).sum(axis=1), (b**2).sum(axis=1), (turned_a * b).sum(axis=1)
    a_s, b_s = (turned_a * shifts).sum(axis=1), (b * shifts).sum(axis=1)
    in_front = (ab * b_s - bb * a_s > 0) & (aa * b_s - ab * a_s > 0)
    return np.asarray(in_front & (np.abs(_distances(focal, axis, point, angles, matched)) < LIMIT))


def _cost(x: Array, angles: Array, matched: Matched) -> float:
    return float(np.log1p((_distances(*_common(x), angles, matched) / SCALE) ** 2).mean())


def _evenly(focal: float, when: Array, matched: Matched) -> Array:
    """(5,) what all pictures share, and the whole turn, at a held focal length and an even speed."""
    from scipy.optimize import least_squares

    starts = [
        np.array([np.log(focal), np.radians(elevation), 0.0, 0.0, sign * np.radians(turn)])
        for elevation, turn, sign in product(ELEVATIONS_DEG, TURNS_DEG, (1, -1))
    ]
    starts.sort(key=lambda start: _cost(start, start[4] * when, matched))
    low, high = np.append(_bounds()[0][1:], -6 * np.pi), np.append(_bounds()[1][1:], 6 * np.pi)

    def residuals(some: Array) -> Array:
        return _distances(*_common(np.append(np.log(focal), some)), some[3] * when, matched) / SCALE

    found = [
        least_squares(residuals, start[1:], bounds=(low, high), loss="cauchy", max_nfev=25)
        for start in starts[:FOLLOWED]
    ]
    return np.append(np.log(focal), min(found, key=lambda result: float(result.cost)).x)


def _bounds() -> tuple[Array, Array]:
    low = [np.log(FOCAL_RANGE[0]), np.radians(LOWEST_DEG), -np.radians(ROLLED_DEG), -0.5]
    high = [np.log(FOCAL_RANGE[1]), np.radians(HIGHEST_DEG), np.radians(ROLLED_DEG), 0.5]
    return np.array(low), np.array(high)


def _each_by_itself(
    start: Array,
    angles: Array,
    matched: Matched,
    scales: Sequence[float],
    even: Array | None = None,
    focal_held: bool = True,
) -> tuple[Array, Array]:
    """(4,) what all pictures share, and (N,) an angle for each; uneven steps (other than those of `even`, or of the
    `angles` to start from) cost as much as matches that are off by a little.

    `scales`: residuals beyond which count less, one after the other.
    """
    from scipy import sparse
    from scipy.optimize import least_squares

    count, head = len(angles), np.arange(1 if focal_held else 0, 4)
    steps = np.diff(angles if even is None else even)
    usual = UNEVEN * max(float(np.abs(steps).mean()), 1e-6)
    low, high = _bounds()

    def unpacked(x: Array) -> tuple[Array, Array]:
        common = start.copy()
        common[head] = x[: len(head)]
        return common, np.append(0.0, x[len(head) :])

    def residuals(x: Array, scale: float) -> Array:
        common, each = unpacked(x)
        return np.append(_distances(*_common(common), each, matched) / scale, (np.diff(each) - steps) / usual)

    # Which residual depends on which number: all on what is shared, each on the angles of its two pictures.
    pictures = np.vstack([matched.pairs[matched.pair], np.column_stack([np.arange(count - 1), np.arange(1, count)])])
    rows = np.repeat(np.arange(len(pictures)), 2)
    by_angle = sparse.coo_matrix((np.ones(len(rows)), (rows, pictures.ravel())), (len(pictures), count)).tocsc()[:, 1:]
    pattern = sparse.hstack([sparse.csr_matrix(np.ones((len(pictures), len(head)))), by_angle]).tocsr()
    at: Array = np.append(np.clip(start[head], low[head] + 1e-6, high[head] - 1e-6), angles[1:])
    wide = np.full(count - 1, np.inf)
    bounds = np.append(low[head], -wide), np.append(high[head], wide)
    for scale in scales:
        found = least_squares(
            residuals, at, bounds=bounds, loss="cauchy", jac_sparsity=pattern, args=(scale,), max_nfev=15
        )
        at = found.x
    return unpacked(at)
