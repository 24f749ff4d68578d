"""What a compressed file costs in pictures: the decoded scene rendered beside the one that was trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.artifacts.camera_poses import CameraPoses
from reconstruction_pipeline.artifacts.colmap import ColmapModel
from reconstruction_pipeline.artifacts.gaussian_splats import Gaussians
from reconstruction_pipeline.artifacts.views import fit, pinhole_view, read_picture, spread
from reconstruction_pipeline.kernels.camera import PinholeView
from reconstruction_pipeline.kernels.metrics import psnr
from reconstruction_pipeline.stages.compression.settings import CompressionSettings
from reconstruction_pipeline.viewer.camera_path import focus_depths

Image = npt.NDArray[np.float32]
Render = Callable[[PinholeView], Image]

NEAR = 0.02
"""Near plane, in units of the scene's median depth."""
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
class Pair:
    """One view of both scenes, (H, W, 3) in 0..1, and the photograph where there is one."""

    name: str
    reference: Image
    decoded: Image
    photo: npt.NDArray[np.uint8] | None = None


@dataclass(frozen=True)
class _Shot:
    view: PinholeView
    pair: Pair  # its `decoded` is the reference itself


class Yardstick:
    """The trained scene, rendered once at held-out views and beside the path, to hold decoded scenes against."""

    def __init__(self, reference: Gaussians, poses: CameraPoses, settings: CompressionSettings) -> None:
        model = poses.model()
        depths = focus_depths(model)
        self._reference, self._near = reference, near_plane(model)
        render = renderer(reference, self._near)
        held_out = spread(range(0, len(model.images), max(settings.holdout, 1)), settings.measure_views)
        self._held_out, self._beside = [], []
        for index in held_out:
            image = model.images[index]
            view = fit(pinhole_view(model, image), settings.measure_size_px)
            photo, picture = read_picture(poses.image_path(image.name), view), render(view)
            self._held_out.append(_Shot(view, Pair(image.name, picture, picture, photo)))
        for view in off_path_views(model, depths, spread(held_out, settings.off_path_views)):
            small = fit(view, settings.measure_size_px)
            picture = render(small)
            self._beside.append(_Shot(small, Pair("beside the path", picture, picture)))

    def measure(self, decoded: Gaussians, tick: Callable[[int, int], None]) -> tuple[Fidelity, Pair, Pair]:
        """Means over the views, and the held-out and the off-path view that differ most; `tick(done, total)`."""
        render, total = renderer(decoded, self._near), len(self._held_out) + len(self._beside)
        pairs = []
        for done, shot in enumerate([*self._held_out, *self._beside], 1):
            pairs.append(Pair(shot.pair.name, shot.pair.reference, render(shot.view), shot.pair.photo))
            tick(done, total)
        filmed, beside = pairs[: len(self._held_out)], pairs[len(self._held_out) :]
        between = [psnr(pair.decoded, pair.reference) for pair in pairs]
        before = [psnr(pair.reference, pair.photo) for pair in filmed if pair.photo is not None]
        after = [psnr(pair.decoded, pair.photo) for pair in filmed if pair.photo is not None]
        fidelity = Fidelity(
            len(filmed),
            float(np.mean(before)),
            float(np.mean(after)),
            float(np.mean(between[: len(filmed)])),
            float(np.mean(between[len(filmed) :])),
        )
        worst = filmed[int(np.argmin(between[: len(filmed)]))]
        return fidelity, worst, beside[int(np.argmin(between[len(filmed) :]))]

    def from_afar(self, decoded: Gaussians, factor: float) -> float:
        """Mean PSNR in dB to the trained scene at the held-out views, in pictures `factor` times smaller each way."""
        before, after = renderer(self._reference, self._near), renderer(decoded, self._near)
        values = []
        for shot in self._held_out:
            size = [max(1, round(side / factor)) for side in (shot.view.width, shot.view.height)]
            view = shot.view.scaled(*size)
            values.append(psnr(after(view), before(view).copy()))
        return float(np.mean(values))


def near_plane(model: ColmapModel) -> float:
    """Where rendering starts, in world units."""
    return NEAR * float(np.median(focus_depths(model)))


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
