"""Framed pictures, the globe's map, the clock's face, and what is seen through the window."""

from __future__ import annotations

import numpy as np

from reconstruction_pipeline.sample.textures.canvas import Canvas, Image, Paint, mix, ramp, rgb, shade, step


def _framed(canvas: Canvas, picture: Image, border_m: float, paper: str = "#efe8d8") -> Image:
    """`picture` within a paper border."""
    x = np.minimum(canvas.x, canvas.width_m - canvas.x)
    y = np.minimum(canvas.y, canvas.height_m - canvas.y)
    return mix(picture, rgb(paper), step(-np.minimum(x, y), -border_m, 0.002))


def mountains() -> Paint:
    """A sunset behind five ridges and a lake."""

    def paint(canvas: Canvas) -> Image:
        u, v = canvas.x / canvas.width_m, canvas.y / canvas.height_m
        sky = ramp([rgb("#35507d"), rgb("#c98f86"), rgb("#f3cf8e")], (v + 0.05 * canvas.fbm(0.15, 4)) / 0.6)
        out = mix(
            sky,
            rgb("#fff0c0"),
            step(-np.hypot((u - 0.68) * canvas.width_m, (v - 0.3) * canvas.height_m), -0.035, 0.004),
        )
        tones = ("#8d7f9c", "#6a6788", "#46557a", "#2d4458", "#1c3038")
        for k, tone in enumerate(tones):
            ridge = canvas.fbm(0.28 / (k + 1) ** 0.3, 5)[canvas.height // 3][None, :]
            top = 0.36 + 0.11 * k + 0.055 * ridge
            rock = shade(canvas.flat(rgb(tone)), canvas.fbm(0.05, 4), 0.22)
            out = mix(out, rock, step(v - top, 0.0, 0.008))
        lake = shade(canvas.flat(rgb("#7e93a8")), canvas.noise(0.2, 0.006), 0.3)
        return _framed(canvas, mix(out, lake, step(v, 0.9, 0.004)), 0.02)

    return paint


def abstract() -> Paint:
    """Overlapping blocks, discs and bars of a few colours on a warm ground."""
    inks = [rgb(c) for c in ("#c8452f", "#20508c", "#e9b52c", "#1d1d22", "#5b8f6a", "#d98fa0", "#f0ede2")]

    def paint(canvas: Canvas) -> Image:
        out = shade(canvas.flat(rgb("#e4d8bf")), canvas.fbm(0.1, 4), 0.05)
        rng = canvas.rng
        for k in range(24):
            cx, cy, turn = rng.uniform(0, canvas.width_m), rng.uniform(0, canvas.height_m), rng.uniform(0, 3)
            a, b = rng.uniform(0.02, 0.14, 2) / (1 + k / 12)
            dx, dy = canvas.x - cx, canvas.y - cy
            p, q = dx * np.cos(turn) + dy * np.sin(turn), dy * np.cos(turn) - dx * np.sin(turn)
            inside = np.hypot(p / a, q / a) if k % 3 == 0 else np.maximum(np.abs(p) / a, np.abs(q) / (b * 0.5))
            brush = shade(canvas.flat(inks[rng.integers(len(inks))]), canvas.noise(0.06, 0.006), 0.12)
            out = mix(out, brush, step(-inside, -1, 0.03) * rng.uniform(0.75, 1))
        return out

    return paint


def chart(seed_shift: float = 0.0) -> Paint:
    """An old map: coasts from noise, contour lines, a graticule, a route and place marks."""

    def paint(canvas: Canvas) -> Image:
        ground = canvas.fbm(0.22, 6) + seed_shift
        out = ramp(
            [rgb("#7fa7b3"), rgb("#a9c6c2"), rgb("#dfcf9f"), rgb("#c3ae72"), rgb("#8d7a52")], 0.42 + 0.22 * ground
        )
        out = mix(out, rgb("#3f3a30"), step(-np.abs(ground), -0.05, 0.04) * 0.9)
        contour = np.abs((ground * 5) % 1 - 0.5)
        out = mix(out, rgb("#6c5a3c"), step(contour, 0.46, 0.05) * (ground > 0.05) * 0.6)
        lines = canvas.mask()
        for k in range(1, 7):
            s = k / 7
            canvas.stroke(lines, [(s * canvas.width_m, 0), (s * canvas.width_m * 0.94 + 0.01, canvas.height_m)], 0.0015)
            canvas.stroke(lines, [(0, s * canvas.height_m), (canvas.width_m, s * canvas.height_m * 0.96)], 0.0015)
        out = mix(out, rgb("#54606a"), lines * 0.45)
        route, marks = canvas.mask(), canvas.mask()
        stops = (
            np.cumsum(canvas.rng.uniform(0.02, 0.09, (9, 2)) * [1, 0.7], 0) * [canvas.width_m, canvas.height_m] / 0.6
        )
        canvas.stroke(route, stops.tolist(), 0.0035)
        for x, y in canvas.rng.uniform(0.05, 0.95, (28, 2)) * [canvas.width_m, canvas.height_m]:
            canvas.fill(marks, [(x, y), (x + 0.006, y + 0.002), (x + 0.003, y + 0.008)])
        out = mix(mix(out, rgb("#a8322a"), route * 0.9), rgb("#2a2622"), marks)
        return _framed(canvas, shade(out, canvas.fbm(0.2, 4), 0.06), 0.014, "#e8dcc0")

    return paint


def botanical() -> Paint:
    """An ink drawing of a branch with leaves and berries."""

    def paint(canvas: Canvas) -> Image:
        out = shade(canvas.flat(rgb("#efe6cf")), canvas.fbm(0.12, 4), 0.04)
        stem, leaves, berries = canvas.mask(), canvas.mask(), canvas.mask()
        rng, w, h = canvas.rng, canvas.width_m, canvas.height_m
        spine = [(w * (0.3 + 0.35 * s + 0.08 * np.sin(5 * s)), h * (0.95 - 0.85 * s)) for s in np.linspace(0, 1, 24)]
        canvas.stroke(stem, spine, 0.004)
        for k in range(2, 23):
            x, y = spine[k]
            angle = -0.9 + (1.9 if k % 2 else -1.3) + rng.normal(0, 0.25)
            reach = rng.uniform(0.05, 0.11) * w / 0.3
            tip = np.array([x + reach * np.cos(angle), y + reach * np.sin(angle)])
            side = np.array([-np.sin(angle), np.cos(angle)]) * reach * 0.22
            middle = np.array([x, y]) * 0.45 + tip * 0.55
            canvas.fill(leaves, [(x, y), tuple(middle + side), tuple(tip), tuple(middle - side)])
            canvas.stroke(stem, [(x, y), tuple(tip)], 0.002)
            if k % 3 == 0:
                bx, by = x + rng.normal(0, 0.02), y + rng.normal(0, 0.02)
                canvas.fill(
                    berries, [(bx + 0.008 * np.cos(a), by + 0.008 * np.sin(a)) for a in np.linspace(0, 6.28, 12)]
                )
        green = ramp([rgb("#35583a"), rgb("#7f9a52")], 0.5 + 0.3 * canvas.noise(0.05))
        out = mix(mix(out, green, leaves * 0.9), rgb("#3a2c20"), stem)
        return mix(out, rgb("#b3362e"), berries)

    return paint


def globe() -> Paint:
    """Coasts, a graticule and coloured lands."""

    def paint(canvas: Canvas) -> Image:
        land = canvas.fbm(0.17, 6)
        sea = shade(canvas.flat(rgb("#2f6a8c")), canvas.fbm(0.08, 3), 0.10)
        regions = ramp(
            [rgb("#c7b06a"), rgb("#7f9a58"), rgb("#c98a52"), rgb("#a8a468"), rgb("#b5695a")],
            0.5 + 0.35 * canvas.noise(0.12),
        )
        out = mix(sea, regions, step(land, 0.15, 0.05))
        out = mix(out, rgb("#2a2620"), step(-np.abs(land - 0.15), -0.05, 0.04) * 0.8)
        u, v = canvas.x / canvas.width_m * 18, canvas.y / canvas.height_m * 9
        grid = np.maximum(step(np.abs(u % 1 - 0.5), 0.47, 0.02), step(np.abs(v % 1 - 0.5), 0.47, 0.02))
        return mix(out, rgb("#e9e2cc"), grid * 0.35)

    return paint


def clock() -> Paint:
    """A face with twelve marks of two lengths and hands at seven minutes to four."""

    def paint(canvas: Canvas) -> Image:
        out = shade(canvas.flat(rgb("#f0ead8")), canvas.fbm(0.06, 3), 0.03)
        ink, c = canvas.mask(), canvas.width_m / 2
        for k in range(12):
            a, inner = k * np.pi / 6, 0.74 if k % 3 else 0.62
            canvas.stroke(
                ink,
                [(c + c * r * np.sin(a), c - c * r * np.cos(a)) for r in (inner, 0.84)],
                0.009 if k % 3 == 0 else 0.005,
            )
        for angle, reach, width in ((np.radians(53 * 6), 0.62, 0.006), (np.radians(116), 0.42, 0.010)):
            canvas.stroke(
                ink,
                [
                    (c - 0.1 * c * np.sin(angle), c + 0.1 * c * np.cos(angle)),
                    (c + reach * c * np.sin(angle), c - reach * c * np.cos(angle)),
                ],
                width,
            )
        return mix(out, rgb("#22242a"), ink)

    return paint


def garden() -> Paint:
    """Blurred trees under a bright sky, as seen through a window pane."""

    def paint(canvas: Canvas) -> Image:
        v = canvas.y / canvas.height_m
        sky = ramp([rgb("#bcd6ee"), rgb("#f2f5f2")], v + 0.15 * canvas.fbm(0.4, 3))
        trees = ramp([rgb("#31482c"), rgb("#6f8f4c"), rgb("#b9c98a")], 0.45 + 0.22 * canvas.fbm(0.16, 4))
        edge = 0.55 + 0.10 * canvas.fbm(0.35, 4)
        return mix(sky, trees, step(v - edge, 0, 0.05))

    return paint
