"""Walls, wood, ceramics, leaves and other plain materials."""

from __future__ import annotations

import numpy as np

from reconstruction_pipeline.sample.textures.canvas import Canvas, Image, Paint, mix, ramp, rgb, shade, step


def plain(color: str, mottle: float = 0.05, size: float = 0.05) -> Paint:
    """One colour with a slight, smooth mottle of features of `size` metres."""

    def paint(canvas: Canvas) -> Image:
        return shade(canvas.flat(rgb(color)), canvas.fbm(size, 2), mottle)

    return paint


def wood(light: str, dark: str, along: str = "x", grain: float = 1.0) -> Paint:
    """Grain along the texture's x or y: stretched noise bends the rings of a board, with a few pores and knots."""

    def paint(canvas: Canvas) -> Image:
        across = canvas.y if along == "x" else canvas.x
        long, short = 0.55, 0.03 * grain

        def streak(scale: float) -> Image:
            size = (long * scale, short * scale) if along == "x" else (short * scale, long * scale)
            return canvas.noise(*size)

        rings = np.sin(2 * np.pi * (across / (0.045 * grain) + 0.9 * streak(2.0) + 0.35 * streak(0.8)))
        tone = 0.5 + 0.22 * rings + 0.16 * streak(1.0) + 0.12 * streak(0.35)
        board = ramp([rgb(dark), rgb(light), rgb(light) * 1.18], tone)
        pores = canvas.noise(0.03, 0.004) if along == "x" else canvas.noise(0.004, 0.03)
        return shade(shade(board, canvas.fbm(0.12, 3), 0.07), pores, 0.07)

    return paint


def planks(width_m: float = 0.14) -> Paint:
    """A floor of boards of uneven length, each with its own tone and grain, dark joints, a few scuffs."""
    tones = [
        ("#b98a58", "#7d5228"),
        ("#a87646", "#6a4420"),
        ("#c79a68", "#8d6236"),
        ("#9c6c42", "#5f3c1e"),
        ("#b3825c", "#704a2c"),
    ]

    def paint(canvas: Canvas) -> Image:
        out = canvas.flat(rgb("#3a2413"))
        grain = canvas.noise(0.7, 0.02), canvas.noise(0.3, 0.008), canvas.noise(1.2, 0.05)
        x, y = canvas.x, canvas.y
        for row in range(int(np.ceil(canvas.height_m / width_m))):
            top = row * width_m
            left = -canvas.rng.uniform(0, 1.2)
            while left < canvas.width_m:
                length = canvas.rng.uniform(0.6, 1.5)
                light, dark = (rgb(c) for c in tones[canvas.rng.integers(len(tones))])
                phase, bend = canvas.rng.uniform(0, 6), canvas.rng.uniform(0.3, 1.2)
                c = slice(*np.searchsorted(x[0], [left + 0.0015, left + length - 0.0015]))
                r = slice(*np.searchsorted(y[:, 0], [top + 0.0015, top + width_m - 0.0015]))
                left += length
                if c.start >= c.stop or r.start >= r.stop:
                    continue
                rings = np.sin(2 * np.pi * (y[r] / 0.05 + bend * grain[2][r, c]) + phase)
                tone = 0.5 + 0.2 * rings + 0.15 * grain[0][r, c] + 0.1 * grain[1][r, c]
                out[r, c] = ramp([dark, light, light * 1.15], tone) * canvas.rng.uniform(0.85, 1.12)
        scuff = step(canvas.fbm(0.5, 4), 1.5, 0.6) * 0.35
        worn = mix(shade(out, canvas.fbm(0.35, 3), 0.08), rgb("#d9c3a2"), scuff)
        return shade(worn, canvas.noise(0.04, 0.005) + canvas.noise(0.012, 0.006), 0.06)

    return paint


def plaster(color: str) -> Paint:
    """The weakly textured wall: hardly more than a trowel's trace."""

    def paint(canvas: Canvas) -> Image:
        return shade(canvas.flat(rgb(color)), canvas.fbm(0.8, 3), 0.012)

    return paint


def painted_wall(color: str, ink: str) -> Paint:
    """A limewashed wall with a hand-painted border of twigs, no two of them alike."""

    def paint(canvas: Canvas) -> Image:
        wash = shade(canvas.flat(rgb(color)), canvas.fbm(0.45, 5, 0.6), 0.06)
        wash = shade(wash, canvas.noise(0.016, 0.05) + canvas.noise(0.007), 0.035)  # the brush's strokes
        twigs, leaves = canvas.mask(), canvas.mask()
        rng = canvas.rng
        for _ in range(int(canvas.width_m * canvas.height_m * 9)):
            x, y = rng.uniform(0, canvas.width_m), rng.uniform(0, canvas.height_m)
            heading, bend, points = rng.uniform(0, 2 * np.pi), rng.normal(0, 1.4), []
            length = rng.uniform(0.10, 0.26)
            for s in np.linspace(0, length, 12):
                points.append((x, y))
                x, y = (
                    x + length / 12 * np.cos(heading + bend * s * 5),
                    y + length / 12 * np.sin(heading + bend * s * 5),
                )
            canvas.stroke(twigs, points, 0.004)
            for i in range(2, 12, 2):
                side = rng.choice([-1, 1]) * rng.uniform(0.6, 1.2)
                angle = heading + bend * length * i / 12 * 5 + side
                reach = rng.uniform(0.018, 0.04)
                px, py = points[i]
                tip = (px + reach * np.cos(angle), py + reach * np.sin(angle))
                bulge = 0.28 * reach
                middle = ((px + tip[0]) / 2, (py + tip[1]) / 2)
                normal = (-np.sin(angle) * bulge, np.cos(angle) * bulge)
                canvas.fill(
                    leaves,
                    [
                        (px, py),
                        (middle[0] + normal[0], middle[1] + normal[1]),
                        tip,
                        (middle[0] - normal[0], middle[1] - normal[1]),
                    ],
                )
        worn = 0.55 + 0.25 * canvas.fbm(0.3, 3)
        return mix(mix(wash, rgb(ink), twigs * worn * 0.8), rgb(ink), leaves * worn)

    return paint


def glaze(base: str, stroke: str, bands: tuple[float, ...] = (0.2, 0.75)) -> Paint:
    """Ceramic: a mottled glaze, thin uneven bands at the given heights (0..1), brush dabs between them."""

    def paint(canvas: Canvas) -> Image:
        out = shade(canvas.flat(rgb(base)), canvas.fbm(0.04, 4), 0.08)
        v = canvas.y / canvas.height_m + 0.012 * canvas.noise(0.06)
        for band in bands:
            out = mix(out, rgb(stroke), step(-np.abs(v - band), -0.02, 0.012))
        dabs = canvas.mask()
        low, high = min(bands), max(bands)
        for _ in range(26):
            x, y = canvas.rng.uniform(0, canvas.width_m), canvas.rng.uniform(low + 0.05, high - 0.05) * canvas.height_m
            dx, dy = canvas.rng.normal(0, 0.012, 2)
            canvas.stroke(
                dabs, [(x, y), (x + dx, y + dy), (x + 2.2 * dx, y + 1.3 * dy)], canvas.rng.uniform(0.002, 0.006)
            )
        return mix(out, rgb(stroke), dabs * 0.85)

    return paint


def leaf(green: str, vein: str) -> Paint:
    """A leaf whose rows run from its base to its tip: a pale middle rib, slanted veins, a darker tip."""

    def paint(canvas: Canvas) -> Image:
        across = np.abs(canvas.x / canvas.width_m - 0.5) * 2
        along = canvas.y / canvas.height_m
        out = shade(canvas.flat(rgb(green)) * (1.1 - 0.35 * along)[..., None], canvas.fbm(0.03, 3), 0.16)
        veins = step(np.sin(2 * np.pi * (along * canvas.height_m / 0.022 - across * 0.7)), 0.75, 0.5) * 0.3
        rib = step(-across, -0.12, 0.12)
        return mix(mix(out, rgb(vein), veins), rgb(vein), rib * 0.8)

    return paint


def brass() -> Paint:
    """Aged brass."""
    return plain("#9a7436", 0.22, 0.03)


def panels(colors: tuple[str, ...]) -> Paint:
    """A beach ball's gores of uneven width, with a scratched print on each."""

    def paint(canvas: Canvas) -> Image:
        edges = np.sort(canvas.rng.uniform(0, 1, len(colors) - 1))
        index = np.searchsorted(edges, (canvas.x / canvas.width_m)[0])
        out = np.broadcast_to(np.stack([rgb(c) for c in colors])[index][None], (canvas.height, canvas.width, 3))
        dots = step(canvas.fbm(0.03, 2), 1.1, 0.3)
        return mix(shade(out.astype(np.float32), canvas.fbm(0.08, 3), 0.08), rgb("#f4ead2"), dots * 0.7)

    return paint
