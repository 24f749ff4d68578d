"""The desk and what lies on it: globe, books, an open notebook, a mug of pencils, a small lamp arm, a cactus."""

from __future__ import annotations

import numpy as np

from reconstruction_pipeline.sample.scene.patch import Patch, moved, transform
from reconstruction_pipeline.sample.scene.shapes import ball, box, disc, lathe, quad, smooth, tube
from reconstruction_pipeline.sample.scene.shelf import book
from reconstruction_pipeline.sample.textures import fabric, pictures, printing, surfaces

_TOP = 0.745


def build(rng: np.random.Generator) -> list[Patch]:
    """Desk 1.5 m wide; its foot's centre at the origin, the viewer at +z."""
    oak, oak_y = surfaces.wood("#b98552", "#7a4c27", "x", 1.6), surfaces.wood("#a8743f", "#6b411f", "y")
    patches = moved(box("desk.top", (1.5, 0.035, 0.68), oak, texels_per_m=512), transform(y=_TOP - 0.035))
    patches += moved(box("desk.apron", (1.38, 0.08, 0.02), oak, texels_per_m=300), transform(y=_TOP - 0.115, z=0.28))
    for k, (x, z) in enumerate(((-0.7, -0.29), (-0.7, 0.29), (0.7, -0.29), (0.7, 0.29))):
        leg = tube(
            f"desk.leg{k}",
            [(x * 1.03, 0, z * 1.05), (x, 0.36, z), (x, _TOP - 0.035, z)],
            (0.013, 0.018, 0.024),
            oak_y,
            10,
        )
        patches.append(leg)
    for k in range(3):
        front = {"front": surfaces.wood("#94602f", "#5b3618", "x"), "rest": oak_y}
        patches += moved(
            box(f"drawer{k}", (0.36, 0.155, 0.5), front, ("back",), texels_per_m=360),
            transform(0.44, 0.2 + 0.165 * k, -0.01),
        )
        patches.append(
            ball(f"knob{k}", 0.014, surfaces.brass(), 12).moved(transform(0.44 + 0.02 * k, 0.28 + 0.165 * k, 0.25))
        )
    for part in (_globe(), _stack(rng), _papers(), _mug(rng), _arm_lamp(), _cactus(rng)):
        patches += moved(part, transform(y=_TOP))
    return patches


def _globe() -> list[Patch]:
    center, radius = 0.245, 0.135
    foot = smooth(
        [(0.005, 0.075), (0.018, 0.07), (0.02, 0.04), (0.075, 0.025), (0.085, 0.012), (0.085, 0)], 14
    ).tolist()
    arc = [(0.16 * np.sin(a), center + 0.16 * np.cos(a), 0) for a in np.linspace(-0.35, np.pi + 0.1, 26)]
    parts = [
        ball("globe", radius, pictures.globe(), 48, texels_per_m=620).moved(transform(0, center, 0, yaw=25, roll=-22)),
        lathe("globe.foot", foot, surfaces.wood("#6a3f20", "#3a2110", "y"), 28),
        tube("globe.arc", arc, 0.0065, surfaces.brass(), 8),
    ]
    return moved(parts, transform(-0.52, 0, -0.1, yaw=-20))


def _stack(rng: np.random.Generator) -> list[Patch]:
    patches: list[Patch] = []
    y = 0.0
    for k in range(5):
        thick, length, deep = rng.uniform(0.022, 0.045), 0.27 - 0.018 * k, 0.2 - 0.012 * k
        flat = moved(
            book(f"desk.book{k}", (thick, length, deep), rng, 640), transform(length / 2, thick / 2, 0, roll=90)
        )
        patches += moved(flat, transform(-length / 2, 0) @ transform())
        patches[-4:] = moved(patches[-4:], transform(0, y, 0, yaw=rng.normal(0, 9)))
        y += thick
    return moved(patches, transform(0.52, 0, -0.13, yaw=-14))


def _papers() -> list[Patch]:
    """An open notebook whose pages curl, a letter under it, a ruler."""
    patches = []
    for side in (-1, 1):
        s, t = np.linspace(0, 1, 14)[None, :], np.linspace(0, 1, 6)[:, None]
        u = s if side > 0 else 1 - s
        grid = np.stack(
            [side * 0.17 * u + 0 * t, 0.004 + 0.022 * np.sin(np.pi * u**0.7) * (1 - 0.3 * t), (t - 0.5) * 0.24 + 0 * s],
            -1,
        )
        patches.append(Patch(f"notebook{side}", grid, printing.page(side > 0), texels_per_m=760))
    patches = moved(patches, transform(0.04, 0.003, 0.12, yaw=11))
    letter = quad("letter", (-0.1, 0, -0.14), (0.2, 0, 0), (0, 0, 0.28), printing.page(False), texels_per_m=700)
    patches += moved([letter], transform(-0.24, 0.0025, 0.16, yaw=-24))
    ruler = box("ruler", (0.3, 0.003, 0.032), surfaces.wood("#e0c070", "#b98f3c", "x"), ("bottom",), texels_per_m=512)
    return patches + moved(ruler, transform(0.33, 0, 0.22, yaw=28))


def _mug(rng: np.random.Generator) -> list[Patch]:
    outside = [(0.036, 0.1), (0.04, 0.098), (0.041, 0.05), (0.038, 0.004), (0.03, 0)]
    inside = [(0.005, 0.03), (0.034, 0.034), (0.036, 0.1)]
    patches = [
        lathe("mug", outside, surfaces.glaze("#c9573a", "#f0e2c0", (0.18, 0.8)), 24, texels_per_m=760),
        lathe("mug.inside", inside, surfaces.plain("#e6d8bd"), 24),
    ]
    for k, color in enumerate(("#d9b02f", "#2f5f8f", "#b3372f", "#3a7a4a", "#1f1f24", "#d77a2f")):
        a, tilt = k * 1.05, rng.uniform(0.012, 0.026)
        low, high = (
            (0.016 * np.cos(a), 0.03, 0.016 * np.sin(a)),
            ((0.016 + tilt) * np.cos(a), rng.uniform(0.16, 0.2), (0.016 + tilt) * np.sin(a)),
        )
        patches.append(
            tube(
                f"pencil{k}",
                np.linspace(low, high, 3).tolist(),
                (0.004, 0.004, 0.003),
                surfaces.plain(color, 0.1, 0.02),
                6,
            )
        )
    return moved(patches, transform(0.24, 0, -0.2))


def _arm_lamp() -> list[Patch]:
    """An unlit desk lamp on two thin rods."""
    steel, red = surfaces.plain("#8c9299", 0.12, 0.02), surfaces.plain("#a8322c", 0.08, 0.03)
    joint, head = (-0.08, 0.3, -0.02), (0.1, 0.44, 0.04)
    shade = [(0.018, 0.05), (0.03, 0.048), (0.055, 0.02), (0.075, -0.035), (0.072, -0.036), (0.03, 0.03)]
    return moved(
        [
            lathe("arm.foot", [(0.004, 0.02), (0.06, 0.016), (0.065, 0.0)], red, 24),
            tube("arm.lower", [(0, 0.01, 0), (-0.04, 0.155, -0.01), joint], 0.006, steel, 8),
            tube("arm.upper", [joint, (0.01, 0.37, 0.01), head], 0.005, steel, 8),
            ball("arm.joint", 0.013, red, 12).moved(transform(*joint)),
            lathe("arm.shade", shade, red, 24, two_sided=True).moved(
                transform(head[0] + 0.03, head[1] - 0.01, head[2], roll=35)
            ),
        ],
        transform(-0.22, 0, -0.2, yaw=-35),
    )


def _cactus(rng: np.random.Generator) -> list[Patch]:
    pot = [(0.045, 0.075), (0.052, 0.07), (0.04, 0.005), (0.03, 0)]
    patches = [
        lathe("cactus.pot", pot, surfaces.glaze("#7a8fa3", "#efe3c4", (0.2, 0.6)), 20, texels_per_m=640),
        disc("cactus.soil", 0.046, 0.068, surfaces.plain("#3c2c20", 0.4, 0.01), 16),
    ]
    for k, (x, z, tall, thick) in enumerate(
        ((0, 0, 0.13, 0.026), (0.03, 0.01, 0.08, 0.016), (-0.026, 0.012, 0.06, 0.014))
    ):
        profile = [
            (thick * np.sin(a) ** 0.5 + 1e-4, 0.06 + tall * (0.5 + 0.5 * np.cos(a)))
            for a in np.linspace(0.01, np.pi - 0.4, 12)
        ]
        ribs = fabric.striped(("#3f6b45", "#5f8a55", "#8fae6a", "#2f5238"), "y", 0.008)
        patches.append(
            lathe(f"cactus{k}", profile, ribs, 20, texels_per_m=640).moved(transform(x, 0, z, roll=rng.normal(0, 6)))
        )
    return moved(patches, transform(0.67, 0, 0.2))
