"""Framed pictures over the desk, and a clock."""

from __future__ import annotations

from reconstruction_pipeline.sample.scene.patch import Patch, moved, transform
from reconstruction_pipeline.sample.scene.room import BACK
from reconstruction_pipeline.sample.scene.shapes import box, disc, lathe
from reconstruction_pipeline.sample.textures import pictures, surfaces


def build() -> list[Patch]:
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
        frame = [
            box(
                f"{name}.picture",
                (width, height, 0.012),
                {"front": paint, "rest": surfaces.plain("#222222")},
                ("back",),
                texels_per_m=560,
            )
        ]
        rim = surfaces.wood(wood, "#1d130b", "x")
        for k, (w, h, dx, dy) in enumerate(
            (
                (width + 0.06, 0.03, 0, -0.03),
                (width + 0.06, 0.03, 0, height),
                (0.03, height, -width / 2 - 0.015, 0),
                (0.03, height, width / 2 + 0.015, 0),
            )
        ):
            frame.append(
                moved(box(f"{name}.frame{k}", (w, h, 0.03), rim, ("back",), texels_per_m=360), transform(dx, dy))
            )
        for part in frame:
            patches += moved(part, transform(x, y, BACK + 0.016, roll=roll))
    ring = lathe("clock.rim", [(0.105, 0.03), (0.125, 0.03), (0.13, 0.0)], surfaces.brass(), 36)
    face = disc("clock.face", 0.115, 0.02, pictures.clock(), 36, texels_per_m=640)
    return patches + moved([ring, face], transform(1.62, 1.86, BACK, pitch=90))
