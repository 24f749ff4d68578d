"""A coarser level made to look like the full scene from where it is shown.

Merging keeps the moments of a few splats at a time, but not what they hide of each other. A few steps of the training's
own kind put that right: the level is rendered at captured views, in pictures as small as those in which it will be
seen, and opacities, sizes, rotations and colours follow the gradient of the squared difference to the full scene's
pictures. Centres stay, so that every splat stays in its cell.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.artifacts.gaussian_splats import Gaussians
from reconstruction_pipeline.artifacts.ply import SH_COEFFICIENTS, sh_degree_of
from reconstruction_pipeline.artifacts.views import spread
from reconstruction_pipeline.kernels.camera import PinholeView

STEPS = 80
VIEWS = 24
"""Views that are looked at, half of them a little beside the captured ones."""
SIDESTEP = 0.1
"""How far beside, in units of the median depth."""
SIZE_PX = 480
NEAR = 0.02
"""Near plane, in units of the median depth."""
RATES = {"log_scales": 0.02, "quats": 0.01, "opacities": 0.06, "base": 0.02, "rest": 0.004}
"""Adam's first steps; they shrink to a tenth."""


def fitted(coarse: Gaussians, full: Gaussians, views: Sequence[PinholeView], factor: float, seed: int) -> Gaussians:
    """`coarse` after `STEPS` steps towards the pictures of `full`, `factor` times smaller than `SIZE_PX`."""
    from reconstruction_pipeline.kernels.adam import adam_step
    from reconstruction_pipeline.kernels.layout import (
        LOG_SCALE,
        OPACITY,
        QUAT,
        ROWS,
        SH,
        aligned_zeros,
        from_planes,
        to_planes,
    )
    from reconstruction_pipeline.kernels.rasterizer import Rasterizer

    rng, rasterizer = np.random.default_rng(seed), Rasterizer()
    near, chosen = _views(full.means, views, factor, rng)
    targets = []
    whole = to_planes(full.means, full.log_scales, full.quats, full.opacity_logits, full.sh)
    for view in chosen:
        targets.append(rasterizer.forward(whole, full.count, view, near=near).image.copy())
    del whole
    count = coarse.count
    planes = to_planes(coarse.means, coarse.log_scales, coarse.quats, coarse.opacity_logits, coarse.sh)
    gradient, first, second = (aligned_zeros(planes.shape) for _ in range(3))
    rates = np.zeros(ROWS, np.float32)
    rates[LOG_SCALE : LOG_SCALE + 3], rates[QUAT : QUAT + 4] = RATES["log_scales"], RATES["quats"]
    rates[OPACITY], rates[SH : SH + 3] = RATES["opacities"], RATES["base"]
    rates[SH + 3 : SH + 3 * SH_COEFFICIENTS[sh_degree_of(full)]] = RATES["rest"]
    order = np.concatenate([rng.permutation(len(chosen)) for _ in range(-(-STEPS // len(chosen)))])[:STEPS]
    for step, index in enumerate(order.tolist(), 1):
        image = rasterizer.forward(planes, count, chosen[index], near=near).image
        rasterizer.backward(np.ascontiguousarray(2.0 * (image - targets[index]), np.float32), gradient)
        adam_step(planes, gradient, first, second, count, rates * 0.1 ** (step / STEPS), step)
    _, log_scales, quats, logits, sh = from_planes(planes, count)
    quats /= np.maximum(np.linalg.norm(quats, axis=1, keepdims=True), 1e-12)
    result = Gaussians(coarse.means, log_scales, quats, logits, sh)
    # A step that went wrong must not spoil a scene: where a splat is not finite, it stays as it was.
    broken = ~np.all([np.isfinite(values).reshape(count, -1).all(axis=1) for values in vars(result).values()], axis=0)
    for name, values in vars(result).items():
        values[broken] = getattr(coarse, name)[broken]
    return result


def _views(
    means: npt.NDArray[np.float32], views: Sequence[PinholeView], factor: float, rng: np.random.Generator
) -> tuple[float, list[PinholeView]]:
    """The near plane in world units, and the views: captured and beside, by turns."""
    picked = spread(views, VIEWS)
    depths = [means @ np.asarray(view.rotation[2], np.float32) + np.float32(view.translation[2]) for view in picked]
    ahead = np.array([np.median(z[z > 0]) if (z > 0).any() else 1.0 for z in depths])
    result = []
    for number, (view, depth) in enumerate(zip(picked, ahead, strict=True)):
        longest = max(view.width, view.height)
        share = min(1.0, SIZE_PX / longest) / factor
        view = view.scaled(max(1, round(view.width * share)), max(1, round(view.height * share)))
        if number % 2:
            angle = rng.uniform(0, 2 * np.pi)
            step = SIDESTEP * depth * np.array([np.cos(angle), np.sin(angle), 0.0])
            view = PinholeView(view.rotation, view.translation - step, view.fx, view.fy, view.cx, view.cy, view.width,
                               view.height)  # fmt: skip
        result.append(view)
    return NEAR * float(np.median(ahead)), result
