"""Woven things: the rug, cushions, a blanket, the curtain, a basket."""

from __future__ import annotations

import numpy as np

from reconstruction_pipeline.sample.textures.canvas import Canvas, Image, Paint, mix, rgb, shade, step


def _weave(canvas: Canvas, pitch: float) -> Image:
    """Threads over and under, `pitch` metres apart; fades where the texels cannot hold them."""
    texel = canvas.width_m / canvas.width
    strength = float(np.clip(pitch / texel / 2 - 1, 0, 1))
    return strength * np.sin(2 * np.pi * canvas.x / pitch) * np.sin(2 * np.pi * canvas.y / pitch) + 0.5 * canvas.noise(
        0.012
    )


def rug() -> Paint:
    """A nomad's rug: nested borders and a field of medallions and small beasts, each one of a kind."""
    red, navy, cream, ochre, teal, dark = (
        rgb(c) for c in ("#8f2f28", "#27375c", "#e3d3b0", "#c98f3a", "#2f7370", "#3b1d1a")
    )

    def paint(canvas: Canvas) -> Image:
        x, y = canvas.x + 0 * canvas.y, canvas.y + 0 * canvas.x
        edge = np.minimum(np.minimum(x, canvas.width_m - x), np.minimum(y, canvas.height_m - y))
        edge = edge + 0.004 * canvas.noise(0.2)
        out = canvas.flat(red)
        for inner, color in ((0.20, ochre), (0.185, navy), (0.075, cream), (0.06, red), (0.03, dark)):
            out = mix(out, color, step(-edge, -inner, 0.004))
        rng = canvas.rng
        palette = [navy, cream, ochre, teal, dark, red]
        run = 2 * (canvas.width_m + canvas.height_m)
        for k in range(int(run / 0.105)):  # border: a row of tilted diamonds of changing colours
            s = k * 0.105 + rng.uniform(-0.012, 0.012)
            if s < canvas.width_m:
                cx, cy = s, 0.13
            elif s < canvas.width_m + canvas.height_m:
                cx, cy = canvas.width_m - 0.13, s - canvas.width_m
            elif s < 2 * canvas.width_m + canvas.height_m:
                cx, cy = s - canvas.width_m - canvas.height_m, canvas.height_m - 0.13
            else:
                cx, cy = 0.13, s - 2 * canvas.width_m - canvas.height_m
            d = np.abs(x - cx) * rng.uniform(0.8, 1.2) + np.abs(y - cy) * rng.uniform(0.8, 1.2)
            size = rng.uniform(0.028, 0.046)
            out = mix(out, palette[rng.integers(1, 4)], step(-d, -size, 0.004))
            out = mix(out, palette[rng.integers(4, 6)], step(-d, -size * 0.45, 0.004))
        for _ in range(46):  # field: stars and diamonds, large to small
            cx = rng.uniform(0.3, canvas.width_m - 0.3)
            cy = rng.uniform(0.3, canvas.height_m - 0.3)
            size = rng.choice([0.17, 0.10, 0.06, 0.04], p=[0.12, 0.28, 0.35, 0.25])
            points, turn = rng.integers(4, 9), rng.uniform(0, 3)
            c = slice(*np.searchsorted(canvas.x[0], [cx - size * 1.4, cx + size * 1.4]))
            r = slice(*np.searchsorted(canvas.y[:, 0], [cy - size * 1.4, cy + size * 1.4]))
            dx, dy = x[r, c] - cx, y[r, c] - cy
            radius = np.hypot(dx, dy) * (1 + 0.22 * np.cos(points * (np.arctan2(dy, dx) + turn)))
            for ring, color in zip((1.0, 0.78, 0.5, 0.22), rng.permutation(len(palette)), strict=False):
                out[r, c] = mix(out[r, c], palette[color], step(-radius, -size * ring, 0.004))
        worn = shade(out, canvas.fbm(0.5, 4), 0.10)
        return shade(shade(worn, _weave(canvas, 0.009), 0.08), canvas.noise(0.02, 0.006), 0.08)

    return paint


def striped(colors: tuple[str, ...], along: str = "y", width: float = 0.04) -> Paint:
    """Stripes of uneven widths in a random order of `colors`, running along the texture's x or y."""

    def paint(canvas: Canvas) -> Image:
        axis, length = (canvas.x, canvas.width_m) if along == "y" else (canvas.y, canvas.height_m)
        edges = np.cumsum(canvas.rng.uniform(0.25, 1.7, int(length / width) + 2) * width)
        choice = canvas.rng.integers(0, len(colors), len(edges) + 1)
        wobble = axis + 0.002 * canvas.noise(0.08)
        table = np.stack([rgb(c) for c in colors])[choice]
        out = table[np.searchsorted(edges, wobble)].astype(np.float32)
        return shade(shade(out, canvas.fbm(0.15, 3), 0.07), _weave(canvas, 0.008), 0.06)

    return paint


def printed(ground: str, inks: tuple[str, ...]) -> Paint:
    """Cloth printed with blots and rings of several sizes."""

    def paint(canvas: Canvas) -> Image:
        out = shade(canvas.flat(rgb(ground)), _weave(canvas, 0.006), 0.06)
        rng = canvas.rng
        for _ in range(int(90 * canvas.width_m * canvas.height_m / 0.25) + 8):
            cx, cy = rng.uniform(0, canvas.width_m), rng.uniform(0, canvas.height_m)
            size = rng.uniform(0.012, 0.05)
            d = np.hypot(canvas.x - cx, canvas.y - cy) + 0.006 * np.sin(
                5 * np.arctan2(canvas.y - cy, canvas.x - cx) + cx * 90
            )
            out = mix(out, rgb(inks[rng.integers(len(inks))]), step(-d, -size, 0.004))
            if size > 0.03:
                out = mix(out, rgb(inks[rng.integers(len(inks))]), step(-d, -0.5 * size, 0.004))
        return shade(out, canvas.fbm(0.1, 3), 0.06)

    return paint


def wicker() -> Paint:
    """A basket's weave: rows of bulging strands, offset from row to row."""

    def paint(canvas: Canvas) -> Image:
        row = np.floor(canvas.y / 0.022)
        phase = canvas.x / 0.05 + 0.5 * (row % 2) + 0.06 * canvas.noise(0.1)
        bulge = np.abs(np.sin(np.pi * phase)) * np.abs(np.sin(np.pi * canvas.y / 0.022)) ** 0.5
        tint = canvas.noise(0.08, 0.022)
        return shade(canvas.flat(rgb("#b98d52")), 1.4 * (bulge - 0.75) + 0.35 * tint, 0.45)

    return paint
