"""The camera's path through the sparse points, from above and from the side, and what the images cover."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from reconstruction_pipeline.artifacts.colmap import ColmapModel
from reconstruction_pipeline.report.svg import WIDTH, figure, points, ticks
from reconstruction_pipeline.report.words import plural

MARGIN = 16.0
MOST_POINTS = 2500
TALLEST, LOWEST = 340.0, 150.0
# The page's "down" in the turned world (y-down): from above (x, -z), so that nothing is mirrored; from the side (x, y).
ABOVE, SIDE = (0.0, 0.0, -1.0), (0.0, 1.0, 0.0)
# Points seen by two images, by three or four, by five to nine, and by more; RGB.
COVERAGE_STEPS = (3, 5, 10)
COVERAGE_COLOURS = np.array([(206, 62, 50), (226, 152, 32), (62, 158, 98), (42, 112, 196)], np.uint8)
Array = npt.NDArray[np.float64]


def path_views(model: ColmapModel, ordered: bool) -> tuple[Markup, Markup]:
    """Two SVG pictures of a model with at least one image: the top view and the side view.

    The world (y-down) is turned about its vertical so that the path lies along the page; both views share the page's
    horizontal axis. From above, right x up = toward the viewer, so nothing is mirrored. `ordered`: join the centres.
    """
    views = []
    for name, down in (("above", ABOVE), ("the side", SIDE)):
        label = f"The {len(model.images)} camera positions and the sparse points, seen from {name}."
        views.append(_view(model, down, model.rgb, ordered, label))
    return views[0], views[1]


def coverage_view(model: ColmapModel) -> Markup:
    """The top view, each sparse point coloured by the number of images that see it; see `COVERAGE_STEPS`."""
    colours = COVERAGE_COLOURS[np.searchsorted(COVERAGE_STEPS, model.track_lengths, side="right")]
    label = "The sparse points from above, coloured by the number of images that see them."
    return _view(model, ABOVE, colours, False, label)


def _turn(centers: Array) -> Array:
    """(3, 3) rotation about Y that lays the main horizontal direction of the path along x."""
    flat = centers[:, [0, 2]] - centers[:, [0, 2]].mean(axis=0)
    x, z = np.linalg.svd(flat, full_matrices=True)[2][0] if len(flat) > 1 else (1.0, 0.0)
    # Of the two directions take the one in which the capture went.
    if (flat[-1] - flat[0]) @ (x, z) < 0:
        x, z = -x, -z
    return np.array([[x, 0, z], [0, 1, 0], [-z, 0, x]])


def _view(
    model: ColmapModel, down: tuple[float, float, float], rgb: npt.NDArray[np.uint8], ordered: bool, label: str
) -> Markup:
    turn = _turn(model.centers)
    # World to page: right and down.
    page_axes = turn.T @ np.array([(1.0, 0.0, 0.0), down]).T
    xyz = model.xyz
    if len(xyz) > MOST_POINTS:
        rows = np.random.default_rng(0).choice(len(xyz), MOST_POINTS, replace=False)
        xyz, rgb = xyz[rows], rgb[rows]
    centers, xyz = model.centers @ page_axes, xyz @ page_axes
    forward = np.array([image.rotation[2] for image in model.images]) @ page_axes
    low, high = _bounds(centers, xyz)
    span = np.maximum(high - low, 1e-9)
    scale = min((WIDTH - 2 * MARGIN) / span[0], (TALLEST - 2 * MARGIN) / span[1])
    height = max(scale * span[1] + 2 * MARGIN, LOWEST)
    middle = np.array([WIDTH / 2, height / 2])

    def page(values: Array) -> Array:
        return (values - (low + high) / 2) * scale + middle

    inside = np.all((xyz >= low) & (xyz <= high), axis=1)
    body = [*_cloud(page(xyz[inside]), rgb[inside])]
    at = page(centers)
    for start, end in zip(at, page(centers + forward * 14 / scale), strict=True):
        body.append(f'<line class="gaze" x1="{start[0]:.1f}" y1="{start[1]:.1f}" x2="{end[0]:.1f}" y2="{end[1]:.1f}"/>')
    if ordered:
        body.append(f'<polyline class="line first" points="{points(at[:, 0], at[:, 1])}"/>')
    body += [f'<circle class="dot first" cx="{x:.1f}" cy="{y:.1f}" r="2.4"/>' for x, y in at]
    if ordered and len(at) > 1:
        body += [_end(at[0], "start", height), _end(at[-1], "end", height)]
    return figure([*body, _scale_bar(scale, height)], label, height)


def _bounds(centers: Array, xyz: Array) -> tuple[Array, Array]:
    """A box around all cameras and the bulk of the points, without the far strays, never much larger than both."""
    low, high = centers.min(axis=0), centers.max(axis=0)
    if len(xyz):
        low = np.minimum(low, np.quantile(xyz, 0.04, axis=0))
        high = np.maximum(high, np.quantile(xyz, 0.96, axis=0))
    pad = 0.04 * np.max(high - low)
    return low - pad, high + pad


def _cloud(at: Array, rgb: npt.NDArray[np.uint8]) -> list[str]:
    """Points as one path per colour (four steps a channel): dots are strokes of no length with round ends."""
    steps = (rgb >> 6).astype(int)
    group = steps[:, 0] * 16 + steps[:, 1] * 4 + steps[:, 2]
    paths = []
    for value in np.unique(group):
        rows = group == value
        r, g, b = rgb[rows].mean(axis=0).astype(int)
        moves = "".join(f"M{x:.0f} {y:.0f}h0" for x, y in at[rows])
        paths.append(f'<path class="cloud" stroke="rgb({r},{g},{b})" d="{moves}"/>')
    return paths


def _end(at: Array, text: str, height: float) -> str:
    right = at[0] < WIDTH - 60
    y = min(max(at[1] + (-9 if text == "start" else 17), 12.0), height - 6)
    return (
        f'<circle class="end {text}" cx="{at[0]:.1f}" cy="{at[1]:.1f}" r="5"/>'
        f'<text class="end-text" x="{at[0] + (7 if right else -7):.1f}" y="{y:.1f}" '
        f'text-anchor="{"start" if right else "end"}">{text}</text>'
    )


def _scale_bar(scale: float, height: float) -> str:
    """A bar of a round number of world units, at most a quarter of the width."""
    length = ticks(0, WIDTH / 4 / scale, about=2)[-1]
    end = MARGIN + length * scale
    return (
        f'<path class="axis" fill="none" d="M{MARGIN} {height - 14:.1f}v4H{end:.1f}v-4"/>'
        f'<text class="over" x="{end + 6:.1f}" y="{height - 9:.1f}">{plural(length, "unit")}</text>'
    )
