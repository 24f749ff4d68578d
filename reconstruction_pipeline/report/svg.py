"""Small charts as inline SVG, coloured by the page's style sheet so that they follow light and dark.

Charts are drawn for a column of about 440 px: they stay readable when a phone shows them a little smaller.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from markupsafe import Markup, escape

from reconstruction_pipeline.report.words import number

WIDTH, HEIGHT = 440, 262
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 36, 42

Values = Sequence[float] | npt.NDArray[np.floating]


def ticks(low: float, high: float, about: int = 4) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten) inside [low, high]."""
    span = high - low
    if not math.isfinite(span) or span <= 0:
        return [low]
    step = 10.0 ** math.floor(math.log10(span / about))
    step *= next(f for f in (1, 2, 5, 10) if span / (step * f) <= about + 0.5)
    return [round(i * step, 12) for i in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def points(xs: Values, ys: Values) -> str:
    """Page coordinates as the `points` of a polyline."""
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(xs, ys, strict=True))


def figure(body: Iterable[str], label: str, height: float = HEIGHT) -> Markup:
    """An SVG element with its description for those who do not see it."""
    text = str(escape(label))
    return Markup(
        f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{text}"><title>{text}</title>'
        f"{''.join(body)}</svg>"
    )


@dataclass
class Chart:
    """Two linear axes; x in [x0, x1], y in [y0, y1]. Marks are kept in drawing order."""

    x_range: tuple[float, float]
    y_range: tuple[float, float]
    x_label: str
    y_label: str
    marks: list[str] = field(default_factory=list)

    def x(self, values: Values | float) -> npt.NDArray[np.float64]:
        """Page x of data x."""
        low, high = self.x_range
        return LEFT + (np.asarray(values, float) - low) / (high - low or 1.0) * (WIDTH - LEFT - RIGHT)

    def y(self, values: Values | float) -> npt.NDArray[np.float64]:
        """Page y of data y."""
        low, high = self.y_range
        return HEIGHT - BOTTOM - (np.asarray(values, float) - low) / (high - low or 1.0) * (HEIGHT - TOP - BOTTOM)

    def line(self, xs: Values, ys: Values, css: str) -> None:
        """A curve; values that are not finite break it."""
        xs, ys = np.asarray(xs, float), np.asarray(ys, float)
        finite = np.isfinite(xs) & np.isfinite(ys)
        for part in np.split(np.arange(len(xs)), np.flatnonzero(~finite)):
            part = part[finite[part]]
            if len(part):
                at = points(self.x(xs[part]), self.y(ys[part]))
                self.marks.append(f'<polyline class="line {css}" points="{at}"/>')

    def dots(self, xs: Values, ys: Values, css: str, radius: float = 3) -> None:
        """A mark at every point."""
        for x, y in zip(self.x(xs), self.y(ys), strict=True):
            if math.isfinite(x) and math.isfinite(y):
                self.marks.append(f'<circle class="dot {css}" cx="{x:.1f}" cy="{y:.1f}" r="{radius}"/>')

    def upright(self, x: float, text: str) -> None:
        """A vertical rule with a short text at its top."""
        at = float(self.x(x))
        anchor = "end" if at > WIDTH - 70 else "start"
        self.marks.append(
            f'<line class="rule" x1="{at:.1f}" x2="{at:.1f}" y1="{TOP - 8}" y2="{HEIGHT - BOTTOM}"/>'
            f'<text class="rule-text" x="{at + (-4 if anchor == "end" else 4):.1f}" y="{TOP - 1}" '
            f'text-anchor="{anchor}">{escape(text)}</text>'
        )

    def draw(self, label: str) -> Markup:
        """The whole chart."""
        right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
        axes = []
        for value in ticks(*self.y_range):
            at = float(self.y(value))
            axes.append(f'<line class="grid" x1="{LEFT}" x2="{right}" y1="{at:.1f}" y2="{at:.1f}"/>')
            axes.append(f'<text x="{LEFT - 7}" y="{at + 4:.1f}" text-anchor="end">{short(value)}</text>')
        for value in ticks(*self.x_range, about=5):
            at = float(self.x(value))
            axes.append(f'<text x="{at:.1f}" y="{bottom + 16}" text-anchor="middle">{short(value)}</text>')
        axes.append(f'<line class="axis" x1="{LEFT}" x2="{right}" y1="{bottom}" y2="{bottom}"/>')
        axes.append(f'<text class="label" x="{right}" y="{HEIGHT - 9}" text-anchor="end">{escape(self.x_label)}</text>')
        axes.append(f'<text class="label" x="10" y="{TOP - 17}">{escape(self.y_label)}</text>')
        return figure([*axes, *self.marks], label)


def short(value: float) -> str:
    """Tick labels: `0.05`, `12`, `40k`, `1.5M`."""
    for factor, letter in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= factor and value % (factor / 10) == 0:
            return f"{number(value / factor)}{letter}"
    return number(value)
