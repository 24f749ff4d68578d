"""Which way is up: from how cameras are held, from straight edges, and from planes that many points share.

None of these is right alone. People tilt phones for effect; edges belong to tilted screens too; the plane that
most points share may be a wall. Each hypothesis of "up" is therefore scored by all of them together:

- level: the share of cameras whose horizontal image axis is level under it, which a few rolled frames do not move;
- pitch: cameras look slightly down more often than at the zenith;
- plane: the share of points in one thin horizontal layer (a floor, a table);
- vertical: the share of edges that are parallel to it in space (a vertical vanishing point);
- horizontal: how well the other edges agree on one or two horizontal directions (the Atlanta world of Schindler and
  Dellaert, "Atlanta world", CVPR 2004), which finds the vertical of a desk on which nothing stands upright.

The best of a grid over the sphere is refined, from the best few peaks.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.artifacts.colmap import ColmapModel
from reconstruction_pipeline.stages.poses.line_segments import Segments, find_segments

Array = npt.NDArray[np.float64]

WEIGHTS = np.array([1.5, 0.5, 1.0, 1.0, 1.0])
# Degrees between hypotheses; those that the cheap evidence likes are scored fully, the best peaks refined.
GRID_DEG, KEPT, PEAKS, PEAK_DEG = 3.0, 400, 3, 10.0
# Other directions than this many degrees around the best are its rivals.
RIVAL_DEG = 15.0
# (reach, step) in degrees: first around each peak, then around the best.
COARSE, FINE = (2.5, 0.5), (0.5, 0.1)
# Edges count as if this much weight of edges that agree with nothing were there too.
NO_EDGES = 6.0
POINTS = 1500
# Looking down by this much, give or take, degrees.
PITCH_DEG, PITCH_SPREAD_DEG = 20.0, 30.0


@dataclass(frozen=True)
class Gravity:
    """`up` (3,) unit vector against gravity in the model's world. `confidence` 0 to 1: how much better it explains
    what is seen than any other direction does. `evidence`: the scores by kind, see the module.
    """

    up: Array
    confidence: float
    evidence: dict[str, float]


@dataclass(frozen=True)
class _Scene:
    rotations: Array
    points: Array
    thickness: float
    edges: Segments


def find_gravity(model: ColmapModel, images: Path | None = None) -> Gravity:
    """Gravity of a model; `images` is the folder of its undistorted pictures, without it edges are not asked."""
    edges = find_segments(model, images) if images else Segments(np.empty((0, 3)), np.empty(0))
    rng = np.random.default_rng(0)
    depths = [
        float(np.median((model.xyz[i.point_rows] @ i.rotation.T + i.translation)[:, 2]))
        for i in model.images
        if len(i.point_rows)
    ]
    points = model.xyz[rng.permutation(len(model.xyz))[:POINTS]]
    rotations = np.array([image.rotation for image in model.images])
    return gravity_of(rotations, points, 0.02 * float(np.median(depths)) if depths else 0.0, edges)


def gravity_of(rotations: Array, points: Array, thickness: float, edges: Segments) -> Gravity:
    """Gravity from world-to-camera rotations (N, 3, 3), points (P, 3), the thickness of a layer of them, and edges."""
    scene = _Scene(rotations, points, thickness, edges)
    up = _sphere(GRID_DEG)
    up = up[np.median(up @ -rotations[:, 1].T, axis=1) > -0.2]
    cheap = 1.5 * _level(scene, up) + 0.5 * _pitch(scene, up) + _vertical(scene, up, GRID_DEG / 2)
    up = up[np.argsort(-cheap, kind="stable")[:KEPT]]
    coarse = _scores(scene, up, GRID_DEG / 2)
    totals = coarse @ WEIGHTS
    peaks = [_refined(scene, up[row], *COARSE) for row in _peaks(up, totals)]
    best = max(peaks, key=lambda peak: float(peak[1] @ WEIGHTS))
    direction, evidence = _refined(scene, _refined(scene, best[0], *COARSE)[0], *FINE)
    rivals = totals[up @ direction < np.cos(np.radians(RIVAL_DEG))]
    confidence = max(0.0, 1.0 - float(rivals.max(initial=0.0)) / max(float(totals.max()), 1e-9))
    names = ("level", "pitch", "plane", "vertical", "horizontal")
    return Gravity(
        direction, round(confidence, 3), {n: round(float(e), 3) for n, e in zip(names, evidence, strict=True)}
    )


def _refined(scene: _Scene, up: Array, reach_deg: float, step_deg: float) -> tuple[Array, Array]:
    around = _around(up, reach_deg, step_deg)
    scores = _scores(scene, around, max(step_deg, 0.6))
    row = int(np.argmax(scores @ WEIGHTS))
    return around[row], scores[row]


def _peaks(up: Array, totals: Array) -> list[int]:
    rows: list[int] = []
    for row in np.argsort(-totals, kind="stable"):
        if all(_degrees(up[row], up[other]) > PEAK_DEG for other in rows):
            rows.append(int(row))
        if len(rows) == PEAKS:
            break
    return rows


def _scores(scene: _Scene, up: Array, sigma_deg: float) -> Array:
    """(U, 5) evidence in the order of `WEIGHTS`; edges may be off by `sigma_deg`."""
    return np.column_stack(
        [
            _level(scene, up),
            _pitch(scene, up),
            _plane(scene, up),
            _vertical(scene, up, sigma_deg),
            _horizontal(scene, up),
        ]
    )


def _level(scene: _Scene, up: Array) -> Array:
    roll = np.degrees(np.arcsin(np.clip(up @ scene.rotations[:, 0].T, -1, 1)))
    # Held level on purpose, or held somehow.
    return np.asarray((0.6 * np.exp(-0.5 * (roll / 3.0) ** 2) + 0.4 * np.exp(-0.5 * (roll / 15.0) ** 2)).mean(axis=1))


def _pitch(scene: _Scene, up: Array) -> Array:
    sine = np.median(up @ scene.rotations[:, 2].T, axis=1)
    return np.asarray(
        np.exp(-0.5 * ((np.degrees(np.arcsin(np.clip(sine, -1, 1))) + PITCH_DEG) / PITCH_SPREAD_DEG) ** 2)
    )


def _plane(scene: _Scene, up: Array) -> Array:
    if len(scene.points) < 50 or scene.thickness <= 0:
        return np.zeros(len(up))
    heights = up @ scene.points.T / scene.thickness
    heights.sort(axis=1)
    # The fullest layer one thickness high: for each point, how far up the order the layer above it ends.
    share = np.zeros(len(up))
    for row, values in enumerate(heights):
        share[row] = (np.searchsorted(values, values + 1.0) - np.arange(len(values))).max() / len(values)
    return share


def _vertical(scene: _Scene, up: Array, sigma_deg: float) -> Array:
    total = float(scene.edges.weights.sum())
    if not total:
        return np.zeros(len(up))
    away = np.degrees(np.arcsin(np.clip(up @ scene.edges.normals.T, -1, 1)))
    return np.asarray(np.exp(-0.5 * (away / sigma_deg) ** 2) @ scene.edges.weights / (total + NO_EDGES))


def _horizontal(scene: _Scene, up: Array, bins: int = 120) -> Array:
    """Share of the edges in the two fullest directions of the horizontal plane, above what every direction gets."""
    normals, weights = scene.edges.normals, scene.edges.weights
    total = float(weights.sum())
    share = np.zeros(len(up))
    if not total:
        return share
    for row, direction in enumerate(up):
        x, y = _axes(direction)
        steep = normals @ direction
        # Vertical edges have no horizontal direction, and planes that are themselves level have every one.
        telling = (np.abs(steep) > np.sin(np.radians(4.0))) & (np.abs(steep) < 0.95)
        # The horizontal direction in the plane with this normal is normal x up.
        angle = np.arctan2(-(normals[telling] @ x), normals[telling] @ y) % np.pi
        counts = np.bincount((angle / np.pi * bins).astype(int) % bins, weights[telling], bins)
        counts = counts + np.roll(counts, 1)
        base, first = 2.0 * float(np.median(counts)), int(np.argmax(counts))
        away = np.abs((np.arange(bins) - first + bins // 2) % bins - bins // 2) > 5
        share[row] = counts[first] - base + max(0.0, float(counts[away].max()) - base)
    return share / (total + NO_EDGES)


def _axes(up: Array) -> tuple[Array, Array]:
    """Two unit vectors that span the plane across `up`."""
    x = np.cross(up, [1.0, 0, 0] if abs(up[0]) < 0.9 else [0, 1.0, 0])
    x /= np.linalg.norm(x)
    return x, np.cross(up, x)


def _sphere(step_deg: float) -> Array:
    """(U, 3) unit vectors all over the sphere, about `step_deg` apart (a Fibonacci lattice)."""
    count = int(4 * np.pi / np.radians(step_deg) ** 2)
    index = np.arange(count) + 0.5
    z, turn = 1 - 2 * index / count, np.pi * (1 + np.sqrt(5)) * index
    ring = np.sqrt(1 - z * z)
    return np.column_stack([ring * np.cos(turn), ring * np.sin(turn), z])


def _around(up: Array, reach_deg: float, step_deg: float) -> Array:
    """(U, 3) unit vectors within `reach_deg` of `up`, itself included."""
    x, y = _axes(up)
    steps = np.tan(np.radians(step_deg)) * np.arange(-round(reach_deg / step_deg), round(reach_deg / step_deg) + 1)
    a, b = (g.ravel() for g in np.meshgrid(steps, steps))
    near = up + a[:, None] * x + b[:, None] * y
    return np.asarray(near / np.linalg.norm(near, axis=1, keepdims=True))


def _degrees(a: Array, b: Array) -> float:
    return float(np.degrees(np.arccos(np.clip(a @ b, -1, 1))))
