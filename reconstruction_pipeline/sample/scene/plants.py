"""Plants with thin, arching leaves."""

from __future__ import annotations

import numpy as np

from reconstruction_pipeline.sample.scene.patch import Patch, moved, transform
from reconstruction_pipeline.sample.scene.shapes import disc, lathe, ribbon, smooth, tube
from reconstruction_pipeline.sample.textures import surfaces


def palm(rng: np.random.Generator) -> list[Patch]:
    """A tall pot plant: strap leaves that rise and bend over, from a glazed pot."""
    pot = smooth([(0.155, 0.34), (0.17, 0.33), (0.16, 0.3), (0.18, 0.2), (0.15, 0.05), (0.12, 0.0)], 20).tolist()
    patches = [
        lathe("palm.pot", pot, surfaces.glaze("#b9a68a", "#6f3324", (0.16, 0.3, 0.82)), 36, texels_per_m=480),
        disc("palm.soil", 0.16, 0.31, surfaces.plain("#35261b", 0.45, 0.015), 24),
    ]
    greens = (("#3f6b3a", "#a9bf72"), ("#567f3f", "#c2cf86"), ("#2f5638", "#8fae6a"), ("#6d8c3c", "#d3d68c"))
    for k in range(24):
        heading, length, lift = k * 2.399 + rng.normal(0, 0.2), rng.uniform(0.5, 1.0), rng.uniform(0.55, 1.25)
        out = np.array([np.cos(heading), 0, np.sin(heading)])
        s = np.linspace(0, 1, 13)[:, None]
        droop = np.array([0, 1, 0]) * (lift * s - 0.62 * lift * s**2.6 * length / 0.7)
        path = np.array([0, 0.3, 0]) + 0.02 * out + out * (0.12 * s + 0.36 * length * s**1.7) + droop
        widths = 0.055 * np.sin(np.pi * np.clip(s[:, 0] * 0.93 + 0.07, 0, 1)) ** 0.7 + 0.002
        side = np.cross(out, [0, 1, 0]) + 0.2 * rng.normal(size=3)
        green, vein = greens[rng.integers(4)]
        patches.append(
            ribbon(
                f"palm.leaf{k}",
                path.tolist(),
                side.tolist(),
                widths.tolist(),
                surfaces.leaf(green, vein),
                texels_per_m=420,
            )
        )
    return patches


def sprig(rng: np.random.Generator) -> list[Patch]:
    """A bottle with three twigs of small leaves, for the window side of the desk."""
    bottle = smooth(
        [(0.012, 0.2), (0.015, 0.195), (0.013, 0.14), (0.04, 0.09), (0.044, 0.04), (0.035, 0.003), (0.02, 0)], 22
    ).tolist()
    patches = [lathe("bottle", bottle, surfaces.glaze("#2f5d50", "#b9d1b0", (0.4, 0.6)), 24, texels_per_m=640)]
    for twig in range(3):
        heading = twig * 2.1 + 0.4
        out = np.array([np.cos(heading), 0, np.sin(heading)])
        s = np.linspace(0, 1, 10)[:, None]
        path = np.array([0, 0.12, 0]) + out * 0.14 * s**1.6 + np.array([0, 1, 0]) * (0.34 + 0.05 * twig) * s
        patches.append(tube(f"twig{twig}", path.tolist(), 0.003, surfaces.plain("#5b4027", 0.2, 0.02), 6))
        for k in range(3, 10):
            tip = out * rng.normal(0.02, 0.03) + np.array([rng.normal(0, 0.04), 0.03, rng.normal(0, 0.04)])
            t = np.linspace(0, 1, 6)[:, None]
            blade = path[k] + tip * t - np.array([0, 0.02, 0]) * t**2
            widths = 0.026 * np.sin(np.pi * np.clip(t[:, 0] * 0.95 + 0.05, 0, 1)) + 0.001
            side = np.cross(tip, [0, 1, 0]) + 1e-3
            patches.append(
                ribbon(
                    f"twig{twig}.leaf{k}",
                    blade.tolist(),
                    side.tolist(),
                    widths.tolist(),
                    surfaces.leaf("#6f8f4a", "#c5cf8f"),
                    texels_per_m=640,
                )
            )
    return moved(patches, transform())
