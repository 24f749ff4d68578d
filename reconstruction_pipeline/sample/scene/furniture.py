"""Chair, floor lamp, chest with cushions, toys on the rug."""

from __future__ import annotations

import numpy as np

from reconstruction_pipeline.sample.scene.patch import Patch, moved, transform
from reconstruction_pipeline.sample.scene.shapes import ball, box, lathe, pillow, tube
from reconstruction_pipeline.sample.textures import fabric, printing, surfaces


def chair() -> list[Patch]:
    """A spindle-back chair; thin legs, a woven seat; it faces +z."""
    timber = surfaces.wood("#c08a4e", "#80522a", "y")
    print_ = fabric.printed("#3f6a6e", ("#e2c98f", "#c8553d", "#1f3440"))
    patches = moved(pillow("chair.seat", (0.44, 0.06, 0.43), print_, texels_per_m=560), transform(y=0.455))
    for k, (x, z) in enumerate(((-0.18, 0.18), (0.18, 0.18), (-0.17, -0.18), (0.17, -0.18))):
        patches.append(
            tube(
                f"chair.leg{k}",
                [(x * 1.2, 0, z * 1.2), (x * 1.1, 0.2, z * 1.1), (x, 0.44, z)],
                (0.011, 0.016, 0.017),
                timber,
                10,
            )
        )
    for k, (a, b) in enumerate(
        (
            ((-0.2, 0.17, 0.2), (-0.19, 0.17, -0.2)),
            ((0.2, 0.2, 0.2), (0.19, 0.2, -0.2)),
            ((-0.195, 0.185, 0), (0.195, 0.185, 0)),
        )
    ):
        patches.append(tube(f"chair.rung{k}", np.linspace(a, b, 3).tolist(), 0.008, timber, 8))
    for k, x in enumerate(np.linspace(-0.17, 0.17, 6)):
        thick = 0.015 if k in (0, 5) else 0.007
        patches.append(
            tube(
                f"chair.spindle{k}",
                [(x, 0.45, -0.19), (x * 1.05, 0.68, -0.225), (x * 1.1, 0.9, -0.28)],
                thick,
                timber,
                8,
            )
        )
    rail = [(x, 0.92 + 0.03 * np.cos(x * 8), -0.285 - 0.02 * np.cos(x * 7)) for x in np.linspace(-0.24, 0.24, 13)]
    return [*patches, tube("chair.rail", rail, 0.022, timber, 12)]


def floor_lamp() -> list[Patch]:
    """A lit lamp on a stem as thin as a finger; the bulb is `room.LIGHTS.lamp`."""
    steel = surfaces.brass()
    pleats = [(0.13, 0.2), (0.19, -0.06)]
    return [
        lathe("lamp.foot", [(0.01, 0.03), (0.12, 0.022), (0.13, 0.01), (0.13, 0)], steel, 28),
        tube("lamp.stem", [(0, 0.02, 0), (0.004, 0.5, 0), (-0.003, 1.0, 0), (0, 1.42, 0)], 0.009, steel, 10),
        lathe(
            "lamp.shade",
            pleats,
            fabric.striped(("#f3d9a0", "#e8bd78", "#f7e6bd", "#d99f5a"), "y", 0.03),
            40,
            texels_per_m=420,
            emission=0.62,
        ).moved(transform(y=1.48)),
        lathe("lamp.lining", [(0.186, -0.06), (0.126, 0.2)], surfaces.plain("#f6e2b8"), 40, emission=0.9).moved(
            transform(y=1.48)
        ),
    ]


def chest() -> list[Patch]:
    """A wicker chest with a folded blanket and two cushions."""
    patches = box("chest", (0.72, 0.4, 0.45), fabric.wicker(), ("bottom",), texels_per_m=420)
    lid = box("chest.lid", (0.75, 0.03, 0.48), surfaces.wood("#a97a45", "#6d4722", "x"), texels_per_m=420)
    patches += moved(lid, transform(y=0.4))
    blanket = fabric.striped(("#c9b38a", "#7b3f3a", "#31505e", "#d9822b", "#efe6cf"), "x", 0.022)
    for k in range(3):
        fold = pillow(f"blanket{k}", (0.44 - 0.02 * k, 0.055, 0.36), blanket, texels_per_m=500)
        patches += moved(fold, transform(-0.1, 0.456 + 0.044 * k, 0.01, yaw=4 * k - 3))
    first = fabric.printed("#d6b25e", ("#7a2f2b", "#28506b", "#f2e7cc"))
    second = fabric.striped(("#2f4858", "#e4d5b0", "#b4513c"), "y", 0.03)
    patches += moved(
        pillow("cushion0", (0.42, 0.15, 0.4), first, texels_per_m=500), transform(0.12, 0.62, -0.08, yaw=-12, pitch=68)
    )
    return patches + moved(
        pillow("cushion1", (0.34, 0.13, 0.32), second, texels_per_m=500),
        transform(0.2, 0.6, 0.1, yaw=25, pitch=60, roll=12),
    )


def toys(rng: np.random.Generator) -> list[Patch]:
    """Lettered blocks, a ball and an open magazine on the rug."""
    patches: list[Patch] = []
    inks = ("#b8372f", "#2b5d93", "#3d7d4c", "#d79a2b", "#6a3f7a")
    places = (
        (0, 0, 0, 15),
        (0.1, 0, 0.05, -20),
        (0.045, 0.075, 0.02, 34),
        (-0.12, 0, 0.12, 52),
        (0.2, 0, -0.09, 5),
        (-0.02, 0, -0.16, 71),
    )
    for k, (x, y, z, yaw) in enumerate(places):
        paint = printing.letter_block("#e3c893", inks[k % 5])
        patches += moved(
            box(f"block{k}", (0.075, 0.075, 0.075), paint, ("bottom",), texels_per_m=640), transform(x, y, z, yaw=yaw)
        )
    gores = surfaces.panels(("#c93f34", "#f0e9da", "#2f6fa8", "#e9b93a", "#f0e9da", "#3f8a5a"))
    patches.append(
        ball("ball", 0.11, gores, 40, texels_per_m=560).moved(transform(-0.42, 0.11, 0.02, yaw=30, pitch=35, roll=25))
    )
    for k, yaw in enumerate((-18, 9)):
        magazine = {"top": printing.cover(str(rng.choice(printing.CLOTHS)), "#f3ead2"), "rest": printing.page_edges()}
        patches += moved(
            box(f"magazine{k}", (0.21, 0.008, 0.28), magazine, ("bottom",), texels_per_m=640),
            transform(0.48 + 0.03 * k, 0.008 * k, 0.12, yaw=yaw),
        )
    return patches
