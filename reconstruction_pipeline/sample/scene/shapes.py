"""Boxes, lathes, tubes, ribbons and cushions as patches (room frame, metres)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from reconstruction_pipeline.sample.scene.patch import Patch, Points
from reconstruction_pipeline.sample.textures.canvas import Paint

_CELL_M = 0.12  # flat surfaces are cut to about this, so that vertex colours of the exported mesh mean something

# Face -> (corner at the texture's top left, direction of its columns, direction of its rows), for a unit cube.
_FACES = {
    "front": ((-1, 1, 1), (1, 0, 0), (0, -1, 0)),
    "back": ((1, 1, -1), (-1, 0, 0), (0, -1, 0)),
    "right": ((1, 1, 1), (0, 0, -1), (0, -1, 0)),
    "left": ((-1, 1, -1), (0, 0, 1), (0, -1, 0)),
    "top": ((-1, 1, -1), (1, 0, 0), (0, 0, 1)),
    "bottom": ((-1, -1, 1), (1, 0, 0), (0, 0, -1)),
}


def quad(
    name: str, corner: Sequence[float], right: Sequence[float], down: Sequence[float], paint: Paint, **kw: float
) -> Patch:
    """A parallelogram from its top-left `corner` along `right` and `down`, seen from outside."""
    o, u, v = (np.asarray(a, np.float64) for a in (corner, right, down))
    columns = max(2, round(float(np.linalg.norm(u)) / _CELL_M) + 1)
    rows = max(2, round(float(np.linalg.norm(v)) / _CELL_M) + 1)
    s, t = np.linspace(0, 1, columns)[None, :, None], np.linspace(0, 1, rows)[:, None, None]
    return Patch(name, o + s * u + t * v, paint, **kw)  # type: ignore[arg-type]


def box(
    name: str, size: Sequence[float], paint: Paint | dict[str, Paint], skip: Sequence[str] = (), **kw: float
) -> list[Patch]:
    """A box of `size` (x, y, z) standing on y = 0, centred on x = z = 0.

    `paint` may be a dict from face name to paint with the key 'rest' for the others.
    """
    half = np.asarray(size, np.float64) / 2
    lift = np.array([0, half[1], 0])
    patches = []
    for face, (corner, right, down) in _FACES.items():
        if face in skip:
            continue
        chosen = paint.get(face, paint["rest"]) if isinstance(paint, dict) else paint
        o, u, v = np.asarray(corner) * half + lift, 2 * np.asarray(right) * half, 2 * np.asarray(down) * half
        patches.append(quad(f"{name}.{face}", tuple(o), tuple(u), tuple(v), chosen, **kw))
    return patches


def lathe(name: str, profile: Sequence[Sequence[float]], paint: Paint, segments: int = 32, **kw: float) -> Patch:
    """A surface of revolution about y; `profile` is (radius, y) from top to bottom of its outside."""
    angle = np.linspace(-np.pi, np.pi, segments + 1)[None, :]
    radius, height = np.asarray(profile, np.float64).T[..., None]
    grid = np.stack(
        [radius * np.sin(angle), np.broadcast_to(height, (len(profile), segments + 1)), radius * np.cos(angle)], -1
    )
    return Patch(name, grid, paint, **kw)  # type: ignore[arg-type]


def smooth(profile: Sequence[Sequence[float]], count: int) -> Points:
    """`count` points on a Catmull-Rom curve through `profile` (n, d)."""
    p = np.asarray(profile, np.float64)
    p = np.concatenate([2 * p[:1] - p[1:2], p, 2 * p[-1:] - p[-2:-1]])
    t = np.linspace(0, len(p) - 3 - 1e-9, count)
    i, f = t.astype(int), (t % 1)[:, None]
    a, b, c, d = p[i], p[i + 1], p[i + 2], p[i + 3]
    return 0.5 * (2 * b + (c - a) * f + (2 * a - 5 * b + 4 * c - d) * f**2 + (3 * b - a - 3 * c + d) * f**3)


def ball(name: str, radius: float, paint: Paint, segments: int = 32, squash: float = 1.0, **kw: float) -> Patch:
    """A sphere about the origin, flattened by `squash` along y."""
    a = np.linspace(0, np.pi, segments // 2 + 1)
    profile = np.stack([radius * np.maximum(np.sin(a), 1e-4), squash * radius * np.cos(a)], -1)
    return lathe(name, profile.tolist(), paint, segments, **kw)


def disc(name: str, radius: float, y: float, paint: Paint, segments: int = 32, **kw: float) -> Patch:
    """A horizontal disc that faces up; its texture is the square around it, seen from above."""
    # Concentric rows would bend the texture, so the square is squeezed onto the disc instead (elliptical grid map).
    s = np.linspace(-1, 1, max(9, segments // 2 + 1))
    u, v = np.meshgrid(s, s)
    grid = np.stack([u * np.sqrt(1 - v**2 / 2), np.zeros_like(u), v * np.sqrt(1 - u**2 / 2)], -1) * radius
    grid[..., 1] = y
    return Patch(name, grid, paint, **kw)  # type: ignore[arg-type]


def tube(
    name: str,
    path: Sequence[Sequence[float]],
    radius: float | Sequence[float],
    paint: Paint,
    segments: int = 8,
    **kw: float,
) -> Patch:
    """A round bar along `path` (n, 3), closed at its ends; `radius` may vary along it."""
    p = np.asarray(path, np.float64)
    tangent = np.gradient(p, axis=0)
    tangent /= np.linalg.norm(tangent, axis=-1, keepdims=True)
    side = np.cross(tangent[0], [0.36, 0.48, 0.8])
    sides = []
    for direction in tangent:  # carry the side vector along without twist
        side = side - direction * (side @ direction)
        side /= np.linalg.norm(side)
        sides.append(side)
    a = np.asarray(sides)[:, None, :]
    b = np.cross(tangent, np.asarray(sides))[:, None, :]
    angle = np.linspace(0, 2 * np.pi, segments + 1)[None, :, None]
    r = np.broadcast_to(np.asarray(radius, np.float64), len(p))[:, None, None]
    grid = p[:, None, :] + r * (np.cos(angle) * a + np.sin(angle) * b)
    grid = np.concatenate([p[:1, None] + 0 * grid[:1], grid, p[-1:, None] + 0 * grid[:1]])
    return Patch(name, grid[:, ::-1], paint, **kw)  # type: ignore[arg-type]


def ribbon(
    name: str,
    path: Sequence[Sequence[float]],
    side: Sequence[float],
    widths: Sequence[float],
    paint: Paint,
    **kw: float,
) -> Patch:
    """A leaf: a strip about `path` (n, 3), `widths` (n,) wide along `side`, slightly folded at its middle line."""
    p, s = np.asarray(path, np.float64), np.asarray(side, np.float64)
    s = s / np.linalg.norm(s)
    w = np.asarray(widths, np.float64)[:, None]
    fold = 0.18 * w * np.array([0.0, 1.0, 0.0])
    grid = np.stack([p - w / 2 * s + fold, p, p + w / 2 * s + fold], 1)
    return Patch(name, grid, paint, two_sided=True, **kw)  # type: ignore[arg-type]


def pillow(name: str, size: Sequence[float], paint: Paint, n: int = 18, **kw: float) -> list[Patch]:
    """A cushion of `size` (x, y, z) about the origin, thin along y: two bulging sheets that meet at a seam."""
    s = np.sin(np.linspace(-np.pi / 2, np.pi / 2, n))  # denser towards the seam, where it bends
    u, v = np.meshgrid(s, s)
    bulge = ((1 - u**4) * (1 - v**4)) ** 0.4
    pinch = 1 - 0.06 * (u * v) ** 2
    half = np.asarray(size, np.float64) / 2
    upper = np.stack([u * pinch, bulge, v * pinch], -1) * half
    lower = np.stack([u * pinch, -bulge, -v * pinch], -1) * half
    return [Patch(f"{name}.upper", upper, paint, **kw), Patch(f"{name}.lower", lower, paint, **kw)]  # type: ignore[arg-type]
