"""The bookshelf at the back wall: rows of books of every size, some leaning, some lying, and a few ornaments."""

from __future__ import annotations

import numpy as np

from reconstruction_pipeline.sample.scene.patch import Patch, moved, transform
from reconstruction_pipeline.sample.scene.shapes import ball, box, lathe, smooth
from reconstruction_pipeline.sample.textures import printing, surfaces

_WIDTH, _HEIGHT, _DEPTH, _BOARD = 1.06, 1.86, 0.28, 0.022
_LEVELS = (0.06, 0.42, 0.76, 1.10, 1.46)
_INKS = ("#e8d9a8", "#d7b45a", "#f1ece0", "#1c1d22", "#c9d4d8")


def book(
    name: str, size: tuple[float, float, float], rng: np.random.Generator, texels_per_m: float = 520
) -> list[Patch]:
    """An upright book (thickness, height, depth), its spine towards the viewer."""
    cloth, ink = str(rng.choice(printing.CLOTHS)), str(rng.choice(_INKS))
    paint = {
        "front": printing.spine(cloth, ink),
        "left": printing.cover(cloth, ink),
        "right": surfaces.plain(cloth, 0.1, 0.04),
        "rest": printing.page_edges(),
    }
    return box(name, size, paint, ("bottom", "back"), texels_per_m=texels_per_m)


def row_of_books(name: str, length: float, tallest: float, rng: np.random.Generator) -> list[Patch]:
    """Books side by side from x = 0 to at most `length`, the last one leaning on its neighbour."""
    patches: list[Patch] = []
    x = 0.0
    while True:
        thick, tall, deep = rng.uniform(0.016, 0.052), tallest * rng.uniform(0.66, 0.97), rng.uniform(0.14, 0.2)
        if x + thick + 0.06 > length:
            break
        patches += moved(
            book(f"{name}.{len(patches)}", (thick, tall, deep), rng),
            transform(x + thick / 2, 0, -deep / 2 + rng.uniform(-0.03, 0)),
        )
        x += thick + rng.choice([0.0006, 0.0006, 0.004])
    lean = transform(x + 0.03 + 0.5 * tallest * 0.12, 0.004, -0.1, roll=9)
    return patches + moved(book(f"{name}.lean", (0.022, 0.82 * tallest, 0.16), rng), lean)


def _lying(name: str, count: int, rng: np.random.Generator) -> list[Patch]:
    patches: list[Patch] = []
    y = 0.0
    for k in range(count):
        thick, length, deep = rng.uniform(0.02, 0.042), rng.uniform(0.19, 0.27), rng.uniform(0.13, 0.18)
        flat = moved(book(f"{name}.{k}", (thick, length, deep), rng), transform(length / 2, thick / 2, 0, roll=90))
        patches += moved(flat, transform(rng.normal(0, 0.008), y, 0, yaw=rng.normal(0, 5)))
        y += thick
    return patches


def build(rng: np.random.Generator) -> list[Patch]:
    """The whole shelf; its foot's centre at the origin, its back at z = -depth / 2."""
    timber = surfaces.wood("#8a5a33", "#4c2d17", "y")
    board = surfaces.wood("#8a5a33", "#4c2d17", "x")
    patches: list[Patch] = []
    for side in (-1, 1):
        x = side * (_WIDTH - _BOARD) / 2
        patches += moved(
            box(f"shelf.side{side}", (_BOARD, _HEIGHT, _DEPTH), timber, ("bottom",), texels_per_m=300), transform(x)
        )
    patches += moved(
        box("shelf.back", (_WIDTH, _HEIGHT, 0.008), timber, ("bottom", "back"), texels_per_m=256),
        transform(z=-_DEPTH / 2),
    )
    for k, y in enumerate((*_LEVELS, _HEIGHT - _BOARD)):
        shelf = box(f"shelf.board{k}", (_WIDTH - 2 * _BOARD, _BOARD, _DEPTH), board, texels_per_m=360)
        patches += moved(shelf, transform(y=y))
    left, front = -_WIDTH / 2 + _BOARD + 0.006, _DEPTH / 2 - 0.03
    plan = ((0.46, 0.29), (0.62, 0.29), (0.50, 0.27), (0.66, 0.31), (0.40, 0.30))  # length and height of each row
    for k, ((length, tallest), y) in enumerate(zip(plan, _LEVELS, strict=True)):
        start = left if k % 2 == 0 else left + (0.98 - length) - 0.03
        patches += moved(row_of_books(f"books{k}", length, tallest, rng), transform(start, y + _BOARD, front))
    return patches + _ornaments(left, rng)


def _ornaments(left: float, rng: np.random.Generator) -> list[Patch]:
    vase = smooth(
        [(0.012, 0.255), (0.032, 0.25), (0.024, 0.21), (0.06, 0.14), (0.07, 0.08), (0.042, 0.01), (0.03, 0)], 24
    ).tolist()
    jar = smooth(
        [(0.01, 0.2), (0.045, 0.19), (0.05, 0.17), (0.075, 0.12), (0.078, 0.06), (0.06, 0.005), (0.02, 0)], 20
    ).tolist()
    carton = surfaces.plain("#3d5a73", 0.15, 0.03)
    patches = [
        lathe("vase", vase, surfaces.glaze("#d9cfc0", "#2c4f86", (0.15, 0.3, 0.85)), 28, texels_per_m=500).moved(
            transform(left + 0.64, _LEVELS[4] + _BOARD, 0.0, yaw=40)
        ),
        lathe("jar", jar, surfaces.glaze("#57795f", "#e0cfa0", (0.25, 0.7)), 28, texels_per_m=500).moved(
            transform(left + 0.15, _LEVELS[3] + _BOARD, 0.02)
        ),
        ball(
            "marble", 0.045, surfaces.panels(("#c0392b", "#e8c547", "#2a6f97", "#f2efe6")), 24, texels_per_m=500
        ).moved(transform(left + 0.83, _LEVELS[4] + _BOARD + 0.045, 0.05, pitch=30, roll=20)),
    ]
    patches += moved(_lying("lying0", 4, rng), transform(left + 0.58, _LEVELS[0] + _BOARD, 0.0))
    patches += moved(_lying("lying1", 3, rng), transform(left + 0.60, _LEVELS[2] + _BOARD, 0.02))
    label = {"front": printing.page(False), "rest": carton}
    patches += moved(
        box("box", (0.2, 0.17, 0.2), label, ("bottom", "back"), texels_per_m=420),
        transform(left + 0.13, _LEVELS[1] + _BOARD, -0.01, yaw=-8),
    )
    patches += moved(_lying("lying2", 2, rng), transform(-0.35, _HEIGHT, 0.0, yaw=12))
    return patches
