"""Chair, side table, floor lamp, chest with cushions, toys, and what hangs on the walls."""

from __future__ import annotations

import numpy as np

from reconstruction_pipeline.sample.scene.patch import Patch, moved, transform
from reconstruction_pipeline.sample.scene.room import BACK
from reconstruction_pipeline.sample.scene.shapes import ball, box, disc, lathe, pillow, smooth, tube
from reconstruction_pipeline.sample.textures import fabric, pictures, printing, surfaces


def chair() -> list[Patch]:
    """A spindle-back chair; thin legs, a woven seat; it faces +z."""
    timber = surfaces.wood("#c08a4e", "#80522a", "y")
    print_ = fabric.printed("#3f6a6e", ("#e2c98f", "#c8553d", "#1f3440"))
    patches = moved(pillow("chair.seat", (0.44, 0.06, 0.43), print_, texels_per_m=560), transform(y=0.455))
    for k, (x, z) in enumerate(((-0.18, 0.18), (0.18, 0.18), (-0.17, -0.18), (0.17, -0.18))):
        patches.append(tube(f"chair.leg{k}", [(x * 1.2, 0, z * 1.2), (x * 1.1, 0.2, z * 1.1), (x, 0.44, z)], (0.011, 0.016, 0.017), timber, 10))
    for k, (a, b) in enumerate((((-0.2, 0.17, 0.2), (-0.19, 0.17, -0.2)), ((0.2, 0.2, 0.2), (0.19, 0.2, -0.2)), ((-0.195, 0.185, 0), (0.195, 0.185, 0)))):
        patches.append(tube(f"chair.rung{k}", np.linspace(a, b, 3).tolist(), 0.008, timber, 8))
    for k, x in enumerate(np.linspace(-0.17, 0.17, 6)):
        thick = 0.015 if k in (0, 5) else 0.007
        patches.append(tube(f"chair.spindle{k}", [(x, 0.45, -0.19), (x * 1.05, 0.68, -0.225), (x * 1.1, 0.9, -0.28)], thick, timber, 8))
    rail = [(x, 0.92 + 0.03 * np.cos(x * 8), -0.285 - 0.02 * np.cos(x * 7)) for x in np.linspace(-0.24, 0.24, 13)]
    return [*patches, tube("chair.rail", rail, 0.022, timber, 12)]


def side_table() -> list[Patch]:
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
    body = smooth([(0.04, 0.135), (0.055, 0.13), (0.085, 0.095), (0.092, 0.06), (0.075, 0.02), (0.045, 0.004), (0.03, 0)], 22).tolist()
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
        lathe("cup", [(0.04, 0.062), (0.041, 0.06), (0.036, 0.02), (0.022, 0.004), (0.02, 0)], red, 28, texels_per_m=760),
        lathe("cup.inside", [(0.004, 0.018), (0.032, 0.024), (0.04, 0.062)], surfaces.plain("#e8dcc4"), 28),
        disc("cup.tea", 0.0385, 0.05, surfaces.plain("#6f3a17", 0.1), 20),
        tube("cup.handle", handle, 0.004, red, 8),
        lathe("saucer", [(0.004, 0.006), (0.05, 0.007), (0.075, 0.016), (0.076, 0.014), (0.04, 0)], red, 32, texels_per_m=760),
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
        ("#c23b22", "#e3b04b", 0.042, -0.05, 0.062, 0.01), ("#d9a521", "#7f9a3f", 0.038, 0.045, 0.06, 0.03), ("#7a9a35", "#c9c25a", 0.041, 0.02, 0.065, -0.05),
        ("#d8702a", "#f0b060", 0.043, -0.01, 0.105, -0.005), ("#8c2f3f", "#c86a50", 0.034, -0.03, 0.058, 0.07),
    )  # fmt: skip
    for k, (skin, blush, radius, x, y, z) in enumerate(fruits):
        paint = surfaces.glaze(skin, blush, (0.08, 0.95))
        patches.append(ball(f"fruit{k}", radius, paint, 24, 0.92, texels_per_m=700).moved(transform(x, y, z, yaw=70 * k, pitch=25 * k, roll=15)))
    return moved(patches, transform(0.1, 0, -0.12))


def floor_lamp() -> list[Patch]:
    """A lit lamp on a stem as thin as a finger; the bulb is `room.LIGHTS.lamp`."""
    steel = surfaces.brass()
    pleats = [(0.13, 0.2), (0.19, -0.06)]
    patches = [
        lathe("lamp.foot", [(0.01, 0.03), (0.12, 0.022), (0.13, 0.01), (0.13, 0)], steel, 28),
        tube("lamp.stem", [(0, 0.02, 0), (0.004, 0.5, 0), (-0.003, 1.0, 0), (0, 1.42, 0)], 0.009, steel, 10),
        lathe("lamp.shade", pleats, fabric.striped(("#f3d9a0", "#e8bd78", "#f7e6bd", "#d99f5a"), "y", 0.03), 40, texels_per_m=420, emission=0.62).moved(transform(y=1.48)),
        lathe("lamp.lining", [(0.186, -0.06), (0.126, 0.2)], surfaces.plain("#f6e2b8"), 40, emission=0.9).moved(transform(y=1.48)),
    ]
    return patches


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
    patches += moved(pillow("cushion0", (0.42, 0.15, 0.4), first, texels_per_m=500), transform(0.12, 0.62, -0.08, yaw=-12, pitch=68))
    return patches + moved(pillow("cushion1", (0.34, 0.13, 0.32), second, texels_per_m=500), transform(0.2, 0.6, 0.1, yaw=25, pitch=60, roll=12))


def toys(rng: np.random.Generator) -> list[Patch]:
    """Lettered blocks, a ball and an open magazine on the rug."""
    patches: list[Patch] = []
    inks = ("#b8372f", "#2b5d93", "#3d7d4c", "#d79a2b", "#6a3f7a")
    places = ((0, 0, 0, 15), (0.1, 0, 0.05, -20), (0.045, 0.075, 0.02, 34), (-0.12, 0, 0.12, 52), (0.2, 0, -0.09, 5), (-0.02, 0, -0.16, 71))
    for k, (x, y, z, yaw) in enumerate(places):
        paint = printing.letter_block("#e3c893", inks[k % 5])
        patches += moved(box(f"block{k}", (0.075, 0.075, 0.075), paint, ("bottom",), texels_per_m=640), transform(x, y, z, yaw=yaw))
    gores = surfaces.panels(("#c93f34", "#f0e9da", "#2f6fa8", "#e9b93a", "#f0e9da", "#3f8a5a"))
    patches.append(ball("ball", 0.11, gores, 40, texels_per_m=560).moved(transform(-0.42, 0.11, 0.02, yaw=30, pitch=35, roll=25)))
    for k, yaw in enumerate((-18, 9)):
        magazine = {"top": printing.cover(str(rng.choice(printing.CLOTHS)), "#f3ead2"), "rest": printing.page_edges()}
        patches += moved(box(f"magazine{k}", (0.21, 0.008, 0.28), magazine, ("bottom",), texels_per_m=640), transform(0.48 + 0.03 * k, 0.008 * k, 0.12, yaw=yaw))
    return patches


def wall_hangings() -> list[Patch]:
    """Pictures over the desk in frames of several widths, one of them askew, and a clock."""
    patches: list[Patch] = []
    plan = (
        ("mountains", pictures.mountains(), 0.62, 0.44, 0.22, 1.46, 0.0, "#3b2a1c"),
        ("abstract", pictures.abstract(), 0.30, 0.40, -0.36, 1.50, 1.6, "#c9a24f"),
        ("chart", pictures.chart(), 0.46, 0.34, 0.95, 1.52, -0.8, "#6b4a2a"),
        ("botanical", pictures.botanical(), 0.24, 0.32, 0.80, 1.13, 0.6, "#20242a"),
        ("small", pictures.chart(0.5), 0.20, 0.15, 1.22, 1.22, 2.0, "#8a2f2a"),
        ("study", pictures.abstract(), 0.18, 0.24, -0.33, 1.14, -1.0, "#2f3b34"),
    )
    for name, paint, width, height, x, y, roll, wood in plan:
        frame = [box(f"{name}.picture", (width, height, 0.012), {"front": paint, "rest": surfaces.plain("#222222")}, ("back",), texels_per_m=560)]
        rim = surfaces.wood(wood, "#1d130b", "x")
        for k, (w, h, dx, dy) in enumerate(((width + 0.06, 0.03, 0, -0.03), (width + 0.06, 0.03, 0, height), (0.03, height, -width / 2 - 0.015, 0), (0.03, height, width / 2 + 0.015, 0))):
            frame.append(moved(box(f"{name}.frame{k}", (w, h, 0.03), rim, ("back",), texels_per_m=360), transform(dx, dy)))
        for part in frame:
            patches += moved(part, transform(x, y, BACK + 0.016, roll=roll))
    rim = lathe("clock.rim", [(0.105, 0.03), (0.125, 0.03), (0.13, 0.0)], surfaces.brass(), 36)
    face = disc("clock.face", 0.115, 0.02, pictures.clock(), 36, texels_per_m=640)
    return patches + moved([rim, face], transform(1.62, 1.86, BACK, pitch=90))
