"""A round table with a teapot, a cup and a bowl of fruit."""

from __future__ import annotations

import numpy as np

from reconstruction_pipeline.sample.scene.patch import Patch, moved, transform
from reconstruction_pipeline.sample.scene.shapes import ball, disc, lathe, smooth, tube
from reconstruction_pipeline.sample.textures import surfaces


def build() -> list[Patch]:
    """A round table on three splayed legs, with a teapot, a cup, and a bowl of fruit."""
    timber = surfaces.wood("#7b4a2b", "#452614", "x", 1.3)
    height = 0.5
    patches = [
        disc("table.top", 0.3, height, surfaces.wood("#9a6238", "#5a351b", "x", 1.5), 40, texels_per_m=640),
        lathe("table.edge", [(0.3, height), (0.304, height - 0.012), (0.296, height - 0.026)], timber, 40),
    ]
    for k in range(3):
        a = 2 * np.pi * k / 3 + 0.4
        path = [(r * np.cos(a), y, r * np.sin(a)) for r, y in ((0.27, 0), (0.21, 0.25), (0.15, height - 0.015))]
        patches.append(tube(f"table.leg{k}", path, (0.01, 0.014, 0.018), timber, 10))
    for part in (_teapot(), _cup(), _fruit()):
        patches += moved(part, transform(y=height))
    return patches


def _teapot() -> list[Patch]:
    blue = surfaces.glaze("#e9e4d6", "#2b5a9b", (0.12, 0.25, 0.9))
    body = smooth(
        [(0.04, 0.135), (0.055, 0.13), (0.085, 0.095), (0.092, 0.06), (0.075, 0.02), (0.045, 0.004), (0.03, 0)], 22
    ).tolist()
    lid = smooth([(0.003, 0.178), (0.013, 0.172), (0.009, 0.158), (0.035, 0.148), (0.046, 0.134)], 14).tolist()
    spout = smooth([(0.07, 0.05, 0), (0.115, 0.07, 0), (0.13, 0.11, 0), (0.155, 0.135, 0)], 12).tolist()
    handle = smooth([(-0.06, 0.12, 0), (-0.12, 0.125, 0), (-0.135, 0.08, 0), (-0.085, 0.035, 0)], 14).tolist()
    parts = [
        lathe("teapot", body, blue, 40, texels_per_m=760),
        lathe("teapot.lid", lid, blue, 32, texels_per_m=760),
        tube("teapot.spout", spout, np.linspace(0.02, 0.009, 12).tolist(), blue, 12, texels_per_m=640),
        tube("teapot.handle", handle, 0.0075, surfaces.wood("#5a3a20", "#2c1a0d", "y"), 8),
    ]
    return moved(parts, transform(-0.1, 0, -0.05, yaw=-28))


def _cup() -> list[Patch]:
    red = surfaces.glaze("#efe6d4", "#b0402f", (0.2, 0.8))
    handle = [(0.036 + 0.02 * np.sin(a), 0.035 + 0.02 * np.cos(a), 0) for a in np.linspace(0.1, np.pi - 0.1, 10)]
    parts = [
        lathe(
            "cup", [(0.04, 0.062), (0.041, 0.06), (0.036, 0.02), (0.022, 0.004), (0.02, 0)], red, 28, texels_per_m=760
        ),
        lathe("cup.inside", [(0.004, 0.018), (0.032, 0.024), (0.04, 0.062)], surfaces.plain("#e8dcc4"), 28),
        disc("cup.tea", 0.0385, 0.05, surfaces.plain("#6f3a17", 0.1), 20),
        tube("cup.handle", handle, 0.004, red, 8),
        lathe(
            "saucer",
            [(0.004, 0.006), (0.05, 0.007), (0.075, 0.016), (0.076, 0.014), (0.04, 0)],
            red,
            32,
            texels_per_m=760,
        ),
    ]
    return moved(parts, transform(0.11, 0.001, 0.14, yaw=50))


def _fruit() -> list[Patch]:
    bowl = smooth([(0.125, 0.07), (0.122, 0.066), (0.1, 0.03), (0.05, 0.008), (0.045, 0)], 14).tolist()
    inside = smooth([(0.004, 0.015), (0.06, 0.022), (0.1, 0.04), (0.125, 0.07)], 12).tolist()
    patches = [
        lathe("bowl", bowl, surfaces.glaze("#43708a", "#e7d7a8", (0.25, 0.6)), 36, texels_per_m=700),
        lathe("bowl.inside", inside, surfaces.plain("#c8cfc6", 0.1), 36),
    ]
    fruits = (
        ("#c23b22", "#e3b04b", 0.042, -0.05, 0.062, 0.01),
        ("#d9a521", "#7f9a3f", 0.038, 0.045, 0.06, 0.03),
        ("#7a9a35", "#c9c25a", 0.041, 0.02, 0.065, -0.05),
        ("#d8702a", "#f0b060", 0.043, -0.01, 0.105, -0.005),
        ("#8c2f3f", "#c86a50", 0.034, -0.03, 0.058, 0.07),
    )
    for k, (skin, blush, radius, x, y, z) in enumerate(fruits):
        paint = surfaces.glaze(skin, blush, (0.08, 0.95))
        patches.append(
            ball(f"fruit{k}", radius, paint, 24, 0.92, texels_per_m=700).moved(
                transform(x, y, z, yaw=70 * k, pitch=25 * k, roll=15)
            )
        )
    return moved(patches, transform(0.1, 0, -0.12))
