"""What a compressed file costs in pictures: the decoded scene rendered beside the one that was trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.artifacts.camera_poses import CameraPoses
from reconstruction_pipeline.artifacts.colmap import ColmapModel
from reconstruction_pipeline.artifacts.gaussian_splats import Gaussians
from reconstruction_pipeline.artifacts.views import fit, pinhole_view, read_picture
from reconstruction_pipeline.kernels.camera import PinholeView
from reconstruction_pipeline.kernels.metrics import psnr
from reconstruction_pipeline.stages.compression.settings import CompressionSettings
from reconstruction_pipeline.viewer.camera_path import focus_depths

Image = npt.NDArray[np.float32]
Render = Callable[[PinholeView], Image]

NEAR = 0.02
"""Near plane, in units of the scene's median depth."""
CAPTIONS = ("photograph", "scene.ply", "scene.sog", "difference x8")
SIDESTEP = 0.15
"""How far beside the path the off-path views stand, in units of the distance to what is looked at."""


@dataclass(frozen=True)
class Fidelity:
    """Means over views, in dB.

    `reference_db` and `decoded_db`: PSNR of the trained and of the decoded scene against the held-out
    photographs; `against_reference_db`: of the decoded against the trained scene's renders, same views;
    `off_path_db`: the same at views beside the path, for which there is no photograph.
    """

    views: int
    reference_db: float
    decoded_db: float
    against_reference_db: float
    off_path_db: float

    @property
    def loss_db(self) -> float:
        """What is lost against the photographs; may be slightly negative."""
        return self.reference_db - self.decoded_db


@dataclass(frozen=True)
class WorstView:
    """The held-out view in which the decoded scene differs most: all three (H, W, 3) in 0..1."""

    name: str
    photo: npt.NDArray[np.uint8]
    reference: Image
    decoded: Image


def measure(
    reference: Gaussians,
    decoded: Gaussians,
    poses: CameraPoses,
    settings: CompressionSettings,
    tick: Callable[[int, int], None],
) -> tuple[Fidelity, WorstView]:
    """Render both scenes at held-out views and beside the path; `tick(done, total)` after each view."""
    model = poses.model()
    depths = focus_depths(model)
    near = NEAR * float(np.median(depths))
    render, render_decoded = renderer(reference, near), renderer(decoded, near)
    held_out = spread(range(0, len(model.images), max(settings.holdout, 1)), settings.measure_views)
    beside = off_path_views(model, depths, spread(held_out, settings.off_path_views))
    total = len(held_out) + len(beside)
    rows = []
    worst: WorstView | None = None
    for done, index in enumerate(held_out, 1):
        view = fit(pinhole_view(model, model.images[index]), settings.measure_size_px)
        photo = read_picture(poses.image_path(model.images[index].name), view)
        original, copy = render(view), render_decoded(view)
        rows.append((psnr(original, photo), psnr(copy, photo), psnr(copy, original)))
        if worst is None or rows[-1][2] <= min(row[2] for row in rows):
            worst = WorstView(model.images[index].name, photo, original, copy)
        tick(done, total)
    aside = []
    for done, view in enumerate(beside, 1 + len(held_out)):
        small = fit(view, settings.measure_size_px)
        aside.append(psnr(render_decoded(small), render(small)))
        tick(done, total)
    assert worst is not None  # a model without images does not get here
    before, after, between = (float(mean) for mean in np.mean(rows, axis=0))
    return Fidelity(len(rows), before, after, between, float(np.mean(aside))), worst


def renderer(scene: Gaussians, near: float) -> Render:
    """A function that renders the scene over black; `near` in world units."""
    from reconstruction_pipeline.kernels.layout import to_planes
    from reconstruction_pipeline.kernels.rasterizer import Rasterizer

    planes = to_planes(scene.means, scene.log_scales, scene.quats, scene.opacity_logits, scene.sh)
    rasterizer = Rasterizer()
    return lambda view: rasterizer.forward(planes, scene.count, view, near=near).image.clip(0.0, 1.0)


def off_path_views(model: ColmapModel, depths: npt.NDArray[np.float64], indices: Sequence[int]) -> list[PinholeView]:
    """Views that nobody filmed: captured cameras moved sideways and up, still looking at the same point."""
    views = []
    for turn, index in enumerate(indices):
        captured = pinhole_view(model, model.images[index])
        angle = 2.4 * turn  # the golden angle: a new direction each time
        step = SIDESTEP * depths[index] * np.array([np.cos(angle), np.sin(angle), 0.0])
        target = np.array([0.0, 0.0, depths[index]])
        relative = look_at(step, target)
        rotation = relative @ captured.rotation
        # x_new = relative (x_cam - step), with x_cam = R x + t.
        translation = relative @ (captured.translation - step)
        views.append(
            PinholeView(
                rotation,
                translation,
                captured.fx,
                captured.fy,
                captured.cx,
                captured.cy,
                captured.width,
                captured.height,
            )
        )
    return views


def look_at(position: npt.NDArray[np.float64], target: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(3, 3) rotation from a camera frame to that of a camera at `position` that looks at `target`, without roll."""
    forward = (target - position) / np.linalg.norm(target - position)
    right = np.cross([0.0, 1.0, 0.0], forward)  # y is down
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(forward, right), forward])


def spread(indices: Sequence[int], count: int) -> list[int]:
    """At most `count` of the indices, evenly chosen, the first among them."""
    if len(indices) <= count:
        return list(indices)
    return [indices[i] for i in np.linspace(0, len(indices) - 1, count).round().astype(int)]


def write_comparison(path: Path, view: WorstView, height: int = 300, limit_bytes: int = 60_000) -> None:
    """A JPEG strip: photograph, trained scene, decoded scene, and their difference eight times amplified."""
    from PIL import Image as Pictures
    from PIL import ImageDraw

    difference = np.abs(view.decoded - view.reference) * 8.0
    panels = [
        view.photo,
        *((np.clip(p, 0, 1) * 255 + 0.5).astype(np.uint8) for p in (view.reference, view.decoded, difference)),
    ]
    strip = Pictures.fromarray(np.concatenate(panels, axis=1))
    width = round(strip.width * height / strip.height)
    strip = strip.resize((width, height), Pictures.Resampling.LANCZOS)
    pen = ImageDraw.Draw(strip)
    for column, caption in enumerate(CAPTIONS):
        pen.text((column * width / 4 + 6, 4), caption, fill="white", stroke_width=2, stroke_fill="black")
    path.parent.mkdir(parents=True, exist_ok=True)
    for quality in (85, 70, 55, 40, 25):
        strip.save(path, quality=quality, optimize=True)
        if path.stat().st_size <= limit_bytes:
            return
