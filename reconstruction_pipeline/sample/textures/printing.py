"""Book bindings, printed pages, labels: things with marks that look like writing."""

from __future__ import annotations

import numpy as np

from reconstruction_pipeline.sample.textures.canvas import Canvas, Image, Paint, mix, rgb, shade, step

CLOTHS = (
    "#8c2f2b", "#23456b", "#2f5d46", "#c7a045", "#5a3a63", "#1f2a33", "#a65a2e", "#7d8c95", "#d8cdb0", "#3f7d86",
    "#b3473c", "#4b4a2f", "#94706a", "#e0b23c", "#35526e", "#6f2438",
)  # fmt: skip


def glyphs(canvas: Canvas, mask: Image, x: float, y: float, length: float, size: float, turned: bool = False) -> None:
    """Draws a run of invented letters `size` high from (x, y) on, rightwards or, if `turned`, downwards."""
    rng, s = canvas.rng, 0.0
    while s < length - size * 0.7:
        advance = size * rng.uniform(0.55, 0.9)
        for _ in range(rng.integers(2, 4)):
            ends = rng.integers(0, 3, (2, 2)) / 2.0
            points = [(s + px * advance * 0.75, py * size) for px, py in ends]
            canvas.stroke(mask, [(x - q, y + p) if turned else (x + p, y + q) for p, q in points], size * 0.16)
        s += advance * (1.0 if rng.random() < 0.84 else 1.8)


def spine(cloth: str, ink: str) -> Paint:
    """The back of a book: bands, a title down its length, an author below, rubbed edges."""

    def paint(canvas: Canvas) -> Image:
        rng, w, h = canvas.rng, canvas.width_m, canvas.height_m
        out = shade(canvas.flat(rgb(cloth)), canvas.fbm(0.03, 3), 0.10)
        v = canvas.y / h + 0 * canvas.x
        for _ in range(rng.integers(1, 4)):
            at, thick = rng.choice([0.05, 0.09, 0.14, 0.8, 0.88, 0.94]), rng.uniform(0.006, 0.02)
            out = mix(out, rgb(ink), step(-np.abs(v - at), -thick, 0.006))
        if rng.random() < 0.4:  # a coloured title block
            out = mix(out, rgb(str(rng.choice(CLOTHS))), step(-np.abs(v - 0.36), -0.2, 0.01))
        mask = canvas.mask()
        size = min(0.5 * w, 0.022)
        glyphs(canvas, mask, w / 2 + size / 2, h * 0.2, h * rng.uniform(0.35, 0.52), size, turned=True)
        glyphs(canvas, mask, w / 2 + size * 0.35, h * 0.78, h * 0.12, size * 0.6, turned=True)
        out = mix(out, rgb(ink), mask)
        edge = np.minimum(canvas.x, w - canvas.x) + 0 * canvas.y
        return mix(out, out * 0.55, step(-edge, -0.12 * w, 0.2 * w) * 0.8)

    return paint


def cover(cloth: str, ink: str) -> Paint:
    """A front cover: a frame, a title, and an ornament of arcs."""

    def paint(canvas: Canvas) -> Image:
        rng, w, h = canvas.rng, canvas.width_m, canvas.height_m
        out = shade(canvas.flat(rgb(cloth)), canvas.fbm(0.05, 4), 0.09)
        edge = np.minimum(np.minimum(canvas.x, w - canvas.x), np.minimum(canvas.y, h - canvas.y))
        out = mix(out, rgb(ink), step(-np.abs(edge - 0.012), -0.002, 0.002))
        mask = canvas.mask()
        for line in range(rng.integers(2, 4)):
            glyphs(canvas, mask, 0.15 * w, h * (0.14 + 0.11 * line), w * rng.uniform(0.4, 0.7), 0.07 * h)
        cx, cy = w * rng.uniform(0.35, 0.65), h * 0.68
        for k in range(4):
            a = np.linspace(0, rng.uniform(2, 6), 20) + rng.uniform(0, 6)
            r = (k + 1) * 0.05 * min(w, h)
            canvas.stroke(mask, [(cx + r * np.cos(t), cy + r * np.sin(t)) for t in a], 0.003)
        return mix(out, rgb(ink), mask)

    return paint


def page_edges() -> Paint:
    """The cut edges of a book's pages."""

    def paint(canvas: Canvas) -> Image:
        lines = canvas.noise(0.3, 0.002) if canvas.height_m < canvas.width_m else canvas.noise(0.002, 0.3)
        return shade(canvas.flat(rgb("#dfd2b4")), lines, 0.10)

    return paint


def page(figures: bool = True) -> Paint:
    """A printed page: ragged lines of writing around a figure."""

    def paint(canvas: Canvas) -> Image:
        rng, w, h = canvas.rng, canvas.width_m, canvas.height_m
        out = shade(canvas.flat(rgb("#eee6d2")), canvas.fbm(0.1, 3), 0.03)
        mask, red = canvas.mask(), canvas.mask()
        pitch = max(0.011, h / 26)
        top, skip = 0.10 * h, rng.uniform(0.35, 0.5) * h
        glyphs(canvas, red, 0.12 * w, 0.04 * h, 0.5 * w, 0.045 * h)
        while top < 0.92 * h:
            if not (figures and skip < top < skip + 0.26 * h):
                glyphs(canvas, mask, 0.1 * w, top, w * rng.uniform(0.55, 0.8), pitch * 0.62)
            top += pitch
        if figures:
            x = np.linspace(0.15, 0.85, 40)
            for k in range(3):
                y = skip / h + 0.13 + 0.08 * np.sin(x * rng.uniform(6, 16) + k)
                canvas.stroke(red if k == 1 else mask, np.stack([x * w, y * h], -1).tolist(), 0.0025)
        return mix(mix(out, rgb("#2b2a2e"), mask * 0.85), rgb("#9c2f28"), red)

    return paint


def letter_block(cloth: str, ink: str) -> Paint:
    """A toy block's face: a frame and one bold sign."""

    def paint(canvas: Canvas) -> Image:
        rng, w = canvas.rng, canvas.width_m
        out = shade(canvas.flat(rgb(cloth)), canvas.noise(0.06, 0.008), 0.08)
        edge = np.minimum(np.minimum(canvas.x, w - canvas.x), np.minimum(canvas.y, w - canvas.y))
        out = mix(out, rgb(ink), step(-edge, -0.1 * w, 0.02 * w))
        mask = canvas.mask()
        nodes = rng.integers(0, 3, (5, 2)) / 2.0 * 0.45 * w + 0.28 * w
        canvas.stroke(mask, nodes.tolist(), 0.1 * w)
        return mix(out, rgb(ink), mask)

    return paint
