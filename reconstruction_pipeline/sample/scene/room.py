"""The shell of the study: floor, walls, ceiling, the window with its curtain, the rug."""

from __future__ import annotations

import numpy as np

from reconstruction_pipeline.sample.scene.lights import Lights
from reconstruction_pipeline.sample.scene.patch import Patch, moved, transform
from reconstruction_pipeline.sample.scene.shapes import box, quad
from reconstruction_pipeline.sample.textures import fabric, pictures, surfaces

LEFT, RIGHT, BACK, FRONT, TOP = -2.15, 2.25, -2.4, 2.8, 2.6
_WINDOW = (-1.65, -0.35, 0.95, 2.15)  # z from, z to, y from, y to, in the right wall

LIGHTS = Lights(
    window_center=(RIGHT + 0.05, (_WINDOW[2] + _WINDOW[3]) / 2, (_WINDOW[0] + _WINDOW[1]) / 2),
    window_right=(0.0, 0.0, (_WINDOW[1] - _WINDOW[0]) / 2),
    window_up=(0.0, (_WINDOW[3] - _WINDOW[2]) / 2, 0.0),
    sky_color=(6.2, 6.7, 7.4),
    sun_direction=(0.80, 0.56, 0.22),
    sun_color=(1.75, 1.45, 1.02),
    lamp=(1.62, 1.52, -1.98),
    lamp_color=(0.55, 0.40, 0.24),
)


def build() -> list[Patch]:
    """Everything that is fixed to the house."""
    # The wall behind the viewer glows: a bright window front that is never seen, and fills the shadows.
    width, depth = RIGHT - LEFT, FRONT - BACK
    white, trim = surfaces.plaster("#e6e1d6"), surfaces.plain("#d9d2c2", 0.04)
    weak, paper = surfaces.plaster("#d3c3a6"), surfaces.painted_wall("#8fa39b", "#4f6a66")
    patches = [
        quad("floor", (LEFT, 0, BACK), (width, 0, 0), (0, 0, depth), surfaces.planks(), texels_per_m=460),
        quad("ceiling", (LEFT, TOP, FRONT), (width, 0, 0), (0, 0, -depth), white, texels_per_m=32),
        quad("wall.back", (LEFT, TOP, BACK), (width, 0, 0), (0, -TOP, 0), paper, texels_per_m=420),
        quad("wall.left", (LEFT, TOP, FRONT), (0, 0, -depth), (0, -TOP, 0), weak, texels_per_m=128),
        quad("wall.front", (RIGHT, TOP, FRONT), (-width, 0, 0), (0, -TOP, 0), white, texels_per_m=32, emission=1.5),
    ]
    z0, z1, y0, y1 = _WINDOW
    for name, za, zb, ya, yb in (
        ("below", BACK, FRONT, 0.0, y0),
        ("above", BACK, FRONT, y1, TOP),
        ("far", BACK, z0, y0, y1),
        ("near", z1, FRONT, y0, y1),
    ):
        patches.append(
            quad(f"wall.right.{name}", (RIGHT, yb, za), (0, 0, zb - za), (0, ya - yb, 0), white, texels_per_m=128)
        )
    patches += _window(trim) + _skirting(trim) + _curtain() + _rug()
    return patches


def _window(trim: surfaces.Paint) -> list[Patch]:
    z0, z1, y0, y1 = _WINDOW
    pane = quad(
        "pane",
        (RIGHT + 0.08, y1 + 0.3, z0 - 0.3),  # wider than the opening: a slanted look must not pass by it
        (0, 0, z1 - z0 + 0.6),
        (0, y0 - y1 - 0.6, 0),
        pictures.garden(),
        texels_per_m=128,
        emission=1.25,
        casts_shadow=False,
    )
    bars = [pane]
    zm, ym = (z0 + z1) / 2, (y0 + y1) / 2
    for k, (z, y, dz, dy) in enumerate(
        (
            (zm, y0, 0.04, y1 - y0),
            (zm, ym - 0.12, z1 - z0, 0.03),
            (z0, y0, 0.05, y1 - y0),
            (z1, y0, 0.05, y1 - y0),
            (zm, y1 - 0.05, z1 - z0, 0.05),
        )
    ):
        bars += moved(box(f"window.bar{k}", (0.06, dy, dz), trim, texels_per_m=128), transform(RIGHT + 0.02, y, z))
    bars += moved(
        box("window.sill", (0.2, 0.03, z1 - z0 + 0.16), trim, texels_per_m=256), transform(RIGHT - 0.03, y0 - 0.03, zm)
    )
    return bars


def _skirting(trim: surfaces.Paint) -> list[Patch]:
    depth, width = FRONT - BACK, RIGHT - LEFT
    hidden = ("back", "bottom")
    run = moved(
        box("skirting.back", (width, 0.11, 0.02), trim, hidden, texels_per_m=200),
        transform((LEFT + RIGHT) / 2, 0, BACK + 0.01),
    )
    run += moved(
        box("skirting.left", (depth, 0.11, 0.02), trim, hidden, texels_per_m=200),
        transform(LEFT + 0.01, 0, (BACK + FRONT) / 2, yaw=90),
    )
    return run + moved(
        box("skirting.right", (depth, 0.11, 0.02), trim, hidden, texels_per_m=200),
        transform(RIGHT - 0.01, 0, (BACK + FRONT) / 2, yaw=-90),
    )


def _curtain() -> list[Patch]:
    """A hanging cloth with deepening folds, gathered at the window's far side."""
    s, t = np.linspace(0, 1, 72)[None, :], np.linspace(0, 1, 20)[:, None]
    fold = 0.05 * (0.5 + 0.5 * t) * np.sin(2 * np.pi * (6.5 * s + 0.35 * np.sin(3 * s + 2 * t)))
    z = _WINDOW[0] - 0.38 + (0.48 + 0.05 * t) * s
    grid = np.stack([RIGHT - 0.12 + fold, 2.35 - 2.22 * t + 0 * s, z], -1)
    cloth = fabric.striped(("#b65b3a", "#d9a45a", "#8a3f34", "#ead9b5", "#55705f"), "y", 0.05)
    rail = moved(
        box("curtain.rail", (0.03, 0.03, 1.9), surfaces.brass(), texels_per_m=128), transform(RIGHT - 0.12, 2.34, -1.1)
    )
    return [Patch("curtain", grid, cloth, texels_per_m=400, two_sided=True), *rail]


def _rug() -> list[Patch]:
    paint = {"top": fabric.rug(), "rest": surfaces.plain("#6b2a24", 0.1, 0.02)}
    return moved(
        box("rug", (2.25, 0.012, 1.5), paint, ("bottom",), texels_per_m=460), transform(-0.05, 0, -0.85, yaw=9)
    )
