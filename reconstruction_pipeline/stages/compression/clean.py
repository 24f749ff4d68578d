"""Clean-up before delivery: what no picture needs, and what only spoils views that nobody filmed.

What is too *faint* for any renderer goes in any case. Four more rules, each scale-free. *Invisible*: among the least
that together hold a few ten-thousandths of all that is blended, at the cameras' views and beside them. *Huge*: one
sigma covers more than half a radian from the nearest camera, a haze in front of everything else. *Floating*: in most
views whose picture it falls into it hangs far in front of the surface there, and in hardly any it lies on one; such a
splat fits the noise of the views that see it (space carving, Kutulakos and Seitz 2000, on the rendered depth).
*Stray*: a speck far from all others for its size.

What a rule finds is removed only if the pictures do not miss it: if the training photographs lose more than allowed,
only the less contributing half goes, then a quarter, and then none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.artifacts.camera_poses import CameraPoses
from reconstruction_pipeline.artifacts.gaussian_splats import Gaussians
from reconstruction_pipeline.artifacts.views import fit, pinhole_view, read_picture, spread
from reconstruction_pipeline.kernels.camera import PinholeView
from reconstruction_pipeline.kernels.metrics import psnr
from reconstruction_pipeline.stages.compression.codecs.importance import sigmoid
from reconstruction_pipeline.stages.compression.fidelity import near_plane, off_path_views, renderer
from reconstruction_pipeline.stages.compression.settings import CompressionSettings
from reconstruction_pipeline.viewer.camera_path import focus_depths

Mask = npt.NDArray[np.bool_]
Tick = Callable[[int, int], None]

FAINT = 1.0 / 255.0
"""Renderers draw nothing fainter."""
SHARE = 5e-4
"""Share of all blend weight that the least contributing splats may hold together and still go."""
HUGE_ANGLE = 0.5
"""Radians that one sigma may cover, seen from the nearest camera."""
IN_FRONT, ON_SURFACE = 0.8, 0.1
"""Depth over that of the surface: below the first a splat is in front of it; within the second it lies on it."""
LEAST_VIEWS = 3
MOSTLY = 0.6
NEIGHBOURS, STRAY_DEVIATIONS, STRAY_SIGMAS = 8, 4.0, 10.0
SIZE_PX = 480
VIEWS, TRIED_VIEWS = 40, 10
"""Views that evidence is taken from, and training photographs that a removal is tried on."""
SHARES_TRIED = (1.0, 0.5, 0.25)


@dataclass(frozen=True)
class Cleanup:
    """`scene` is what stays. `found` and `removed` count splats by rule."""

    scene: Gaussians
    found: dict[str, int] = field(default_factory=dict)
    removed: dict[str, int] = field(default_factory=dict)

    def metrics(self) -> dict[str, int]:
        """`removed_<rule>` and `found_<rule>`."""
        return {f"removed_{rule}": count for rule, count in self.removed.items()} | {
            f"found_{rule}": count for rule, count in self.found.items()
        }


@dataclass(frozen=True)
class Evidence:
    """What the views show of each splat, all (N,).

    `contribution`: blend weight summed over pixels, beside the path too; `in_front`, `on_surface`: in how many views
    its centre is far in front of the surface there, or on it; `in_picture`: in how many it is in the picture and not
    behind a surface; `angle`: one sigma of its longest axis in radians from the nearest camera.
    """

    contribution: npt.NDArray[np.float64]
    in_front: npt.NDArray[np.int64]
    on_surface: npt.NDArray[np.int64]
    in_picture: npt.NDArray[np.int64]
    angle: npt.NDArray[np.float64]


def clean(scene: Gaussians, poses: CameraPoses, settings: CompressionSettings, tick: Tick) -> Cleanup:
    """The scene without what the rules find and the photographs do not miss; `tick(done, total)` as it goes."""
    model = poses.model()
    # Evidence may come from the held-out cameras, too: only their photographs must not decide anything.
    rows = spread(range(len(model.images)), VIEWS)
    training = [row for row in range(len(model.images)) if row % max(settings.holdout, 2)] or [0]
    views = [fit(pinhole_view(model, model.images[row]), SIZE_PX) for row in rows]
    beside = [fit(view, SIZE_PX) for view in off_path_views(model, focus_depths(model), rows)]
    total = len(views) + 4
    near = near_plane(model)
    evidence = observe(scene, views, beside, near, lambda done: tick(done, total))
    tried = [model.images[row] for row in spread(training, TRIED_VIEWS)]
    cameras = [fit(pinhole_view(model, image), SIZE_PX) for image in tried]
    photos = [read_picture(poses.image_path(image.name), view) for image, view in zip(tried, cameras, strict=True)]

    def quality(candidate: Gaussians) -> float:
        render = renderer(candidate, near)
        return float(np.mean([psnr(render(view), photo) for view, photo in zip(cameras, photos, strict=True)]))

    kept, before = sigmoid(scene.opacity_logits) >= FAINT, quality(scene)
    if not kept.any():
        return Cleanup(scene)
    found, removed = {"faint": int((~kept).sum())}, {"faint": int((~kept).sum())}
    rules = {"invisible": invisible(evidence), "huge": huge(evidence), "floating": floating(evidence)}
    for done, (rule, mask) in enumerate((rules | {"stray": stray(scene)}).items(), len(views) + 1):
        candidates = np.flatnonzero(mask & kept)
        found[rule], removed[rule] = len(candidates), 0
        ranked = candidates[np.argsort(evidence.contribution[candidates], kind="stable")]
        for share in SHARES_TRIED:
            gone = ranked[: round(share * len(ranked))]
            trial = kept.copy()
            trial[gone] = False
            if not len(gone) or not trial.any():
                break
            after = quality(scene.take(trial))
            if before - after <= settings.max_clean_loss_db:
                kept, removed[rule], before = trial, len(gone), min(before, after)
                break
        tick(done, total)
    return Cleanup(scene.take(kept) if not kept.all() else scene, found, removed)


def observe(
    scene: Gaussians, views: list[PinholeView], beside: list[PinholeView], near: float, tick: Callable[[int], None]
) -> Evidence:
    """Render the depth of every view and see where the splats are to it; `beside`: views that only show who is seen."""
    from reconstruction_pipeline.kernels.layout import to_planes
    from reconstruction_pipeline.kernels.rasterizer import Rasterizer

    planes = to_planes(scene.means, scene.log_scales, scene.quats, scene.opacity_logits, scene.sh)
    rasterizer = Rasterizer()
    contribution = np.zeros(scene.count)
    in_front, on_surface, in_picture = (np.zeros(scene.count, np.int64) for _ in range(3))
    nearest = np.full(scene.count, np.inf)
    for view in beside:
        seen = rasterizer.forward(planes, scene.count, view, near=near, contribution=True).contribution
        assert seen is not None
        contribution += seen
    for number, view in enumerate(views, 1):
        rendered = rasterizer.forward(planes, scene.count, view, near=near, depth=True, contribution=True)
        assert rendered.contribution is not None and rendered.median_depth is not None
        contribution += rendered.contribution
        local = scene.means @ np.asarray(view.rotation, np.float32).T + np.asarray(view.translation, np.float32)
        nearest = np.minimum(nearest, np.linalg.norm(local, axis=1))
        z = np.maximum(local[:, 2], 1e-9)
        x, y = local[:, 0] / z * view.fx + view.cx, local[:, 1] / z * view.fy + view.cy
        inside = (local[:, 2] > near) & (x >= 0) & (x < view.width) & (y >= 0) & (y < view.height)
        surface = np.zeros(scene.count, np.float32)
        surface[inside] = rendered.median_depth[y[inside].astype(np.intp), x[inside].astype(np.intp)]
        # Where nothing is opaque there is no surface to be in front of.
        known = surface > 0
        ratio = z / np.where(known, surface, 1.0)
        in_front += known & (ratio < IN_FRONT)
        on_surface += inside & (~known | (np.abs(ratio - 1.0) <= ON_SURFACE))
        in_picture += inside & (~known | (ratio <= 1.0 + ON_SURFACE))
        tick(number)
    sigma = np.exp(np.clip(scene.log_scales.max(axis=1).astype(np.float64), -60.0, 60.0))
    return Evidence(contribution, in_front, on_surface, in_picture, sigma / np.maximum(nearest, 1e-12))


def invisible(evidence: Evidence) -> Mask:
    """(N,) contributing next to nothing to any view."""
    order = np.argsort(evidence.contribution, kind="stable")
    mask = np.zeros(len(order), bool)
    mask[order] = np.cumsum(evidence.contribution[order]) <= SHARE * evidence.contribution.sum()
    return mask


def huge(evidence: Evidence) -> Mask:
    """(N,) larger than any surface seen from so near."""
    return evidence.angle > HUGE_ANGLE


def floating(evidence: Evidence) -> Mask:
    """(N,) in front of the surface in most views that could see it, and on it in hardly any."""
    mostly = evidence.in_front >= np.maximum(LEAST_VIEWS, MOSTLY * evidence.in_picture)
    return np.asarray(mostly & (evidence.on_surface <= 0.1 * evidence.in_front))


def stray(scene: Gaussians) -> Mask:
    """(N,) far from their neighbours, by the spread of such distances over the scene and by their own size."""
    from scipy.spatial import cKDTree

    if scene.count <= NEIGHBOURS:
        return np.zeros(scene.count, bool)
    distance = cKDTree(scene.means).query(scene.means, NEIGHBOURS + 1)[0][:, 1:].mean(axis=1)
    logs = np.log(np.maximum(distance, 1e-12))
    sigma = np.exp(np.clip(scene.log_scales.max(axis=1).astype(np.float64), -60.0, 60.0))
    far = logs > logs.mean() + STRAY_DEVIATIONS * logs.std()
    return np.asarray(far & (distance > STRAY_SIGMAS * sigma))
